"""Fixtures for pytest, which loads this plugin by itself where the package is installed.

`cacheops_namespace` gives a test a cache of its own; with ``cacheops_isolate = true`` among pytest's settings every
test that Django's settings are there for has one. With ``cacheops_embedded = true`` the run has a server of its own
(extra ``embedded``), whatever ``CACHEOPS_REDIS`` says. `assert_cache_hits` and `assert_no_stale` are the context
managers of the same names.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest

__all__ = ["assert_cache_hits", "assert_no_stale", "cacheops_namespace", "cacheops_server"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the two settings."""
    parser.addini("cacheops_isolate", "give every test a cache of its own", type="bool", default=False)
    parser.addini("cacheops_embedded", "give the run a server of its own", type="bool", default=False)


@pytest.fixture(scope="session")
def cacheops_server(request: pytest.FixtureRequest) -> Iterator[None]:
    """The server of the run: its own with ``cacheops_embedded``, or else the one that the settings name."""
    if not request.config.getini("cacheops_embedded"):
        yield
        return
    from django.test import override_settings

    from cacheops_core import embedded

    with tempfile.TemporaryDirectory(prefix="cacheops-") as folder:
        with override_settings(CACHEOPS_REDIS=f"embedded://{folder}"):
            yield
        embedded.stop()


@pytest.fixture
def cacheops_namespace(cacheops_server: None) -> Iterator[None]:
    """A cache that is empty, and that no other test has."""
    from . import namespaces

    with namespaces.isolated():
        yield


@pytest.fixture(autouse=True)
def _cacheops_isolated(request: pytest.FixtureRequest) -> None:
    if request.config.getini("cacheops_isolate"):
        request.getfixturevalue("cacheops_namespace")
    elif request.config.getini("cacheops_embedded"):
        request.getfixturevalue("cacheops_server")


@pytest.fixture
def assert_cache_hits() -> Callable[..., Any]:
    """``with assert_cache_hits(2, misses=0): ...``."""
    from . import hits

    return hits.assert_cache_hits


@pytest.fixture
def assert_no_stale() -> Callable[[], Any]:
    """``with assert_no_stale(): ...``."""
    from . import auditing

    return auditing.assert_no_stale
