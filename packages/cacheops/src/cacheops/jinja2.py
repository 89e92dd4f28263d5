"""The Jinja2 extension of Django projects: add ``"cacheops.jinja2.cache"`` to the extensions of an environment.

Its tags keep texts in the project's cache, by the same functions as the decorators do and so by the same rules: a text
is not looked up, and not kept, where the open transaction has written to what it is made from.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from cacheops_core.decorators import Decorator
from cacheops_django.functions import cached, cached_as
from cacheops_jinja2 import extension

__all__ = ["AsyncProjectCache", "CacheopsExtension", "ProjectCache", "cache"]


class Rendering:
    """A fragment that is to be rendered, told from others by its key alone."""

    def __init__(self, key: str, render: Callable[[], Any]) -> None:
        self.key = key
        self.render = render

    def __cache_key__(self) -> str:
        return self.key


def rendered(fragment: Rendering) -> Any:
    """Return the text of a fragment: the function whose results are kept."""
    return fragment.render()


async def rendered_async(fragment: Rendering) -> Any:
    """Return the text of a fragment of an async environment."""
    return await fragment.render()


class ProjectCache:
    """The project's cache in the words of the tags: samples are what the decorators take."""

    def dependencies_of(self, *samples: Any) -> tuple[Any, ...]:
        """Return the samples as they are; what they depend on, the decorators find out."""
        return samples

    def get_or_compute(
        self,
        key: str,
        dependencies: Any,
        compute: Callable[[], Any],
        timeout: float | None = None,
        *,
        lock: bool | None = None,
    ) -> Any:
        """Return what is kept for a fragment, or else render it and keep that.

        With ``lock``, by default as the profiles of the samples say, one renders while the others wait.
        """
        return _decorator(dependencies, timeout, lock)(rendered)(Rendering(key, compute))


class AsyncProjectCache(ProjectCache):
    """The same for async environments, which render on the event loop."""

    async def get_or_compute(
        self,
        key: str,
        dependencies: Any,
        compute: Callable[[], Awaitable[Any]],
        timeout: float | None = None,
        *,
        lock: bool | None = None,
    ) -> Any:
        return await _decorator(dependencies, timeout, lock)(rendered_async)(Rendering(key, compute))


class CacheopsExtension(extension.CacheopsExtension):
    """The tags with the project's cache, unless ``environment.cacheops`` is set to another."""

    def default_cache(self) -> ProjectCache:
        """Return the project's cache for this kind of environment."""
        return AsyncProjectCache() if self.environment.is_async else ProjectCache()


cache = CacheopsExtension


def _decorator(samples: tuple[Any, ...], timeout: float | None, lock: bool | None) -> Decorator:
    if samples:
        return cached_as(*samples, timeout=timeout, lock=lock)
    return cached(timeout=timeout, lock=bool(lock))
