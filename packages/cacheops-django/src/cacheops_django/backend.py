"""A backend for Django's ``CACHES``, so that one server and one client serve Django's cache and this one.

``CACHES = {"default": {"BACKEND": "cacheops.backend.CacheBackend"}}`` keeps sessions, throttles and all that asks
``django.core.cache`` where ``CACHEOPS_REDIS`` says, with the serializer, the signatures and the compression that the
settings name. ``LOCATION`` is any name: backends of one location share their keys, and nothing else has them, so that
neither side's ``clear`` or ``invalidate_all`` drops what the other keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any, TypeAlias, TypeVar

from asgiref.sync import sync_to_async
from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache

from cacheops_core import flows
from cacheops_core.flows import Flow
from cacheops_core.simple_verbs import SimpleVerbs

from . import async_caches, caches

__all__ = ["CacheBackend"]

T = TypeVar("T")
Act: TypeAlias = Callable[[SimpleVerbs], Flow[T]]


class CacheBackend(BaseCache):
    """Django's cache on the project's server: Django's documentation says what each method does.

    The methods whose names begin with ``a`` ask the server on the event loop, without a thread.
    """

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)
        self._name = f"django:{location}"

    def get_backend_timeout(self, timeout: Any = DEFAULT_TIMEOUT) -> float | None:
        """Return how many seconds a value lives, None for ever; one that does not live at all gets 0."""
        chosen = self.default_timeout if timeout is DEFAULT_TIMEOUT else timeout
        if isinstance(chosen, timedelta):
            chosen = chosen.total_seconds()
        return None if chosen is None else max(0.0, chosen)

    # Every verb once, as a flow over the verbs of the core

    def _get_many(self, keys: Iterable[Any], version: int | None) -> Act[dict[Any, Any]]:
        named = {key: self._key(key, version) for key in keys}

        def act(verbs: SimpleVerbs) -> Flow[dict[Any, Any]]:
            found = yield from verbs.getting_many(named.values())
            return {key: found[position] for position, key in enumerate(named) if position in found}

        return act

    def _set_many(self, data: Mapping[Any, Any], timeout: Any, version: int | None) -> Act[list[Any]]:
        lifetime = self.get_backend_timeout(timeout)
        named = {self._key(key, version): value for key, value in data.items()}

        def act(verbs: SimpleVerbs) -> Flow[list[Any]]:
            if lifetime == 0:
                yield from verbs.deleting_many(named)
            else:
                yield from verbs.setting_many(named.items(), lifetime)
            return []

        return act

    def _add(self, key: Any, value: Any, timeout: Any, version: int | None) -> Act[bool]:
        lifetime, name = self.get_backend_timeout(timeout), self._key(key, version)

        def act(verbs: SimpleVerbs) -> Flow[bool]:
            if lifetime == 0:
                return not (yield from verbs.getting_many([name]))
            return (yield from verbs.adding(name, value, lifetime))

        return act

    def _touch(self, key: Any, timeout: Any, version: int | None) -> Act[bool]:
        lifetime, name = self.get_backend_timeout(timeout), self._key(key, version)
        return lambda verbs: verbs.deleting(name) if lifetime == 0 else verbs.touching(name, lifetime)

    def _delete_many(self, keys: Iterable[Any], version: int | None) -> Act[int]:
        names = [self._key(key, version) for key in keys]
        return lambda verbs: verbs.deleting_many(names)

    def _incr(self, key: Any, delta: int, version: int | None) -> Act[int]:
        name = self._key(key, version)

        def act(verbs: SimpleVerbs) -> Flow[int]:
            total = yield from verbs.incrementing_what_is_there(name, delta)
            if total is None:
                raise ValueError(
                    f"incr() needs a whole number under {key!r}, and there is none: set it to one first"
                )
            return total

        return act

    def _clear(self) -> Act[None]:
        return lambda verbs: flows.sweep(verbs.options.prefix)

    def _key(self, key: Any, version: int | None) -> str:
        return str(self.make_and_validate_key(key, version=version))

    # The two worlds

    def _run(self, act: Act[T]) -> T:
        cache = caches.beside(self._name)
        result: T = cache.driver.run(act(cache))
        return result

    async def _arun(self, act: Act[T]) -> T:
        twin = await async_caches.twin(caches.beside(self._name))
        if twin is None:
            return await sync_to_async(self._run)(act)
        result: T = await twin.driver.run(act(twin))
        return result

    # Django's names

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        return self._run(self._get_many([key], version)).get(key, default)

    async def aget(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        return (await self._arun(self._get_many([key], version))).get(key, default)

    def get_many(self, keys: Iterable[Any], version: int | None = None) -> dict[Any, Any]:
        return self._run(self._get_many(keys, version))

    async def aget_many(self, keys: Iterable[Any], version: int | None = None) -> dict[Any, Any]:
        return await self._arun(self._get_many(keys, version))

    def has_key(self, key: Any, version: int | None = None) -> bool:
        return bool(self._run(self._get_many([key], version)))

    async def ahas_key(self, key: Any, version: int | None = None) -> bool:
        return bool(await self._arun(self._get_many([key], version)))

    def set(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        self._run(self._set_many({key: value}, timeout, version))

    async def aset(
        self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> None:
        await self._arun(self._set_many({key: value}, timeout, version))

    def set_many(
        self, data: Mapping[Any, Any], timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> list[Any]:
        return self._run(self._set_many(data, timeout, version))

    async def aset_many(
        self, data: Mapping[Any, Any], timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> list[Any]:
        return await self._arun(self._set_many(data, timeout, version))

    def add(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        return self._run(self._add(key, value, timeout, version))

    async def aadd(
        self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        return await self._arun(self._add(key, value, timeout, version))

    def touch(self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        return self._run(self._touch(key, timeout, version))

    async def atouch(self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        return await self._arun(self._touch(key, timeout, version))

    def delete(self, key: Any, version: int | None = None) -> bool:
        return bool(self._run(self._delete_many([key], version)))

    async def adelete(self, key: Any, version: int | None = None) -> bool:
        return bool(await self._arun(self._delete_many([key], version)))

    def delete_many(self, keys: Iterable[Any], version: int | None = None) -> None:
        self._run(self._delete_many(keys, version))

    async def adelete_many(self, keys: Iterable[Any], version: int | None = None) -> None:
        await self._arun(self._delete_many(keys, version))

    def incr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        return self._run(self._incr(key, delta, version))

    async def aincr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        return await self._arun(self._incr(key, delta, version))

    async def adecr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        return await self._arun(self._incr(key, -delta, version))

    def clear(self) -> None:
        self._run(self._clear())

    async def aclear(self) -> None:
        await self._arun(self._clear())
