"""`cache`: the project's cache for values under keys of your own, which nothing drops but time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Final

from asgiref.sync import sync_to_async

from cacheops_core.locks import LEASE

from . import caches, functions, views
from .results import NOT_GIVEN

__all__ = ["ProjectCache", "cache"]


class ProjectCache:
    """The words of the core's cache, for the one that the settings name at the moment.

    Times are in seconds or a ``timedelta``; None, or nothing, is for ever. Transactions make no difference: what is
    set is there at once, for everybody, and stays there after a rollback.
    """

    cached: Final = staticmethod(functions.cached)
    cached_view: Final = staticmethod(views.cached_view)

    def get(self, key: Any, default: Any = NOT_GIVEN) -> Any:
        """Return the value under a key; without a default, raise CacheMiss if there is none."""
        given = () if default is NOT_GIVEN else (default,)
        return caches.current().get(key, *given)

    def get_many(self, keys: Iterable[Any]) -> dict[Any, Any]:
        """Return the values that there are under these keys, in one round trip."""
        return caches.current().get_many(keys)

    def set(self, key: Any, data: Any, timeout: Any = None) -> None:
        """Store a value under a key."""
        caches.current().set(key, data, timeout)

    def set_many(self, values: Mapping[Any, Any], timeout: Any = None) -> None:
        """Store each value under its key, in one round trip."""
        caches.current().set_many(values, timeout)

    def add(self, key: Any, data: Any, timeout: Any = None) -> bool:
        """Store a value unless there is one under the key; return whether it was stored."""
        return caches.current().add(key, data, timeout)

    def incr(self, key: Any, delta: int = 1, timeout: Any = None) -> int:
        """Add to the whole number under a key, 0 if there is none, and return the sum."""
        return caches.current().incr(key, delta, timeout)

    def touch(self, key: Any, timeout: Any = None) -> bool:
        """Let the value under a key live for so many seconds from now; return whether there is one."""
        return caches.current().touch(key, timeout)

    def delete(self, key: Any) -> bool:
        """Remove the value under a key; return whether there was one."""
        return caches.current().delete(key)

    def lock(self, name: Any, timeout: float = LEASE) -> AbstractContextManager[None]:
        """Let one process at a time in; one that dies inside is waited for ``timeout`` seconds at most."""
        return caches.current().lock(name, timeout)

    def invalidate_all(self) -> None:
        """Drop all that the project has stored, results of querysets and functions included."""
        caches.current().invalidate_all()

    # The same, awaited

    async def aget(self, key: Any, default: Any = NOT_GIVEN) -> Any:
        """Return the value under a key; without a default, raise CacheMiss if there is none."""
        return await sync_to_async(self.get)(key, default)

    async def aset(self, key: Any, data: Any, timeout: Any = None) -> None:
        """Store a value under a key."""
        await sync_to_async(self.set)(key, data, timeout)

    async def adelete(self, key: Any) -> bool:
        """Remove the value under a key; return whether there was one."""
        return await sync_to_async(self.delete)(key)


cache: ProjectCache = ProjectCache()
"""The project's simple cache."""
