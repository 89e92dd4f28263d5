"""Fixtures: environments of both kinds, a cache that is a dict, and real servers."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from jinja2 import BaseLoader, DictLoader, Environment

from cacheops_core.testing.plugin import redis_client, redis_server

__all__ = ["redis_client", "redis_server"]

Make = Callable[..., Environment]


class Store:
    """A cache with the fewest verbs: what others write for themselves in a minute."""

    def __init__(self) -> None:
        self.texts: dict[str, Any] = {}
        self.timeouts: list[Any] = []

    def get(self, key: str, default: Any) -> Any:
        return self.texts.get(key, default)

    def set(self, key: str, value: Any, timeout: Any = "its own") -> None:
        self.texts[key] = value
        self.timeouts.append(timeout)


@pytest.fixture
def store() -> Store:
    """A cache that is empty."""
    return Store()


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def make(request: pytest.FixtureRequest, store: Store) -> Make:
    """Makes environments of templates by name; ``tick()`` in a template says how often it was called."""

    def make_environment(
        templates: dict[str, str] | BaseLoader | None = None,
        kind: type[Environment] = Environment,
        extensions: tuple[str, ...] = (),
        **options: Any,
    ) -> Environment:
        made = kind(
            loader=templates if isinstance(templates, BaseLoader) else DictLoader(templates or {}),
            extensions=["cacheops_jinja2.CacheopsExtension", *extensions],
            enable_async=request.param,
            **options,
        )
        made.cacheops = store  # type: ignore[attr-defined]
        made.globals["tick"] = count(1).__next__
        return made

    return make_environment


@pytest.fixture
def environment(make: Make) -> Environment:
    """An environment without templates."""
    return make()
