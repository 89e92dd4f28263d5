"""What each contender offers beside its cached querysets, under one name for all; None for what it has not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings


class NotSupportedError(Exception):
    """A contender does not do this at all."""


@dataclass(frozen=True)
class Tools:
    """What a site would import."""

    cached_as: Callable[..., Any] | None = None
    cached: Callable[..., Any] | None = None
    invalidate_obj: Callable[[Any], Any] | None = None
    invalidate_model: Callable[[Any], Any] | None = None
    extension: str | None = None
    """The Jinja2 extension with the tag ``cached_as``."""

    @property
    def has_tags(self) -> bool:
        """Whether there are tags for templates."""
        return self.extension is not None


def tools() -> Tools:
    """Return those of the contender whose process this is."""
    if settings.CONTENDER == "none":
        return Tools()
    if settings.CONTENDER == "cachalot":
        from cachalot.api import invalidate

        return Tools(invalidate_model=invalidate)
    from cacheops import cached, cached_as, invalidate_model, invalidate_obj

    if settings.CONTENDER == "near":
        return Tools(
            lambda *samples, **options: cached_as(*samples, near=True, **options),
            lambda **options: cached(near=True, **options),
            invalidate_obj,
            invalidate_model,
            "cacheops.jinja2.cache",
        )
    return Tools(cached_as, cached, invalidate_obj, invalidate_model, "cacheops.jinja2.cache")


def needed(tool: Any) -> Any:
    """Return a tool, or raise `NotSupportedError` if this contender has not got it."""
    if tool is None:
        raise NotSupportedError
    return tool
