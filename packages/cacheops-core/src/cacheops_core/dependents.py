"""Functions whose results a cache keeps, until their time is over or what they depend on has changed."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, overload

from . import decorators
from .computing import ComputingVerbs
from .conditions import Dependencies
from .decorators import CachedFunction, Decorator, Policy
from .errors import CacheMiss
from .flows import Flow
from .lookups import NOT_GIVEN, NOTHING, Samples
from .near import Near

P = ParamSpec("P")
R = TypeVar("R")


class Decorating(ComputingVerbs):
    """The decorators of a cache."""

    driver: Any
    get_or_compute: Any

    @overload
    def cached(self, func: Callable[P, R], /) -> CachedFunction[P, R]: ...

    @overload
    def cached(
        self,
        func: None = None,
        /,
        *,
        timeout: Any = ...,
        extra: Any = ...,
        lock: bool = ...,
        stale: float = ...,
        near: bool = ...,
    ) -> Decorator: ...

    def cached(self, func: Any = None, /, **options: Any) -> Any:
        """Keep a function's results by its arguments: ``@cache.cached`` or ``@cache.cached(timeout=60)``.

        ``f.invalidate(*args)`` drops the result of one call. ``extra`` is anything else that results depend
        on; ``lock``, ``stale`` and ``near`` are as in ``get_or_compute``.
        """
        # Where there are copies, whoever drops a result tells all who have one.
        cache = self._dependent(NOTHING, is_near=True) if options.get("near") else self
        return decorators.cached(cache, func, **options)

    def _dependent(self, dependencies: Dependencies, is_near: bool) -> Dependent:
        kind = AsyncDependent if inspect.iscoroutinefunction(self.driver.run) else Dependent
        return kind(self, dependencies, is_near)

    def cached_as(
        self,
        *samples: Samples,
        timeout: float | None = NOT_GIVEN,
        extra: Any = None,
        lock: bool = False,
        stale: float = 0.0,
        near: bool = False,
    ) -> Decorator:
        """Keep a function's results by its arguments until what it depends on changes.

        ``@cache.cached_as({"product": [{"category": 7}]})``, or a table's name for any change in it.
        """
        dependencies = Dependencies().merge(*map(Dependencies.coerce, samples))
        dependent = self._dependent(dependencies, near)
        checked = decorators.cached(dependent, timeout=timeout, extra=extra)

        def decorate(func: Callable[P, R]) -> CachedFunction[P, R]:
            # Always by way of get_or_compute, which asks for the stamps before it computes.
            return type(checked(func))(
                func,
                Policy(
                    dependent,
                    timeout,
                    extra,
                    {"lock": lock, "stale": stale, "near": near},
                    dependent.near if near else None,
                ),
            )

        return decorate


class Dependent:
    """A cache of results that all depend on the same, in the words that decorators use."""

    def __init__(self, cache: Decorating, dependencies: Dependencies, is_near: bool) -> None:
        self._cache = cache
        self._dependencies = dependencies
        self._is_near = is_near
        self.near: Near = cache.near

    def get(self, key: Any, default: Any = NOT_GIVEN) -> Any:
        """Return what is stored for a call; without a default, raise CacheMiss if there is nothing."""
        return self._cache.driver.run(self._getting(key, default))

    def set(self, key: Any, value: Any, timeout: Any = NOT_GIVEN) -> Any:
        """Store a result that is right as of now."""
        return self._cache.driver.run(self._setting(key, value, timeout))

    def delete(self, key: Any) -> Any:
        """Remove what is stored for a call."""
        return self._cache.driver.run(self._deleting(key))

    def get_or_compute(self, key: Any, _: Any, compute: Any, timeout: Any = NOT_GIVEN, **options: Any) -> Any:
        """Return what is stored for a call, or else compute and store it."""
        return self._cache.get_or_compute(key, self._dependencies, compute, timeout, **options)

    def _getting(self, key: Any, default: Any) -> Flow[Any]:
        lookup = yield from self._cache.looking_up(key, self._dependencies)
        if not lookup.is_hit and default is NOT_GIVEN:
            raise CacheMiss(key)
        return lookup.value if lookup.is_hit else default

    def _setting(self, key: Any, value: Any, timeout: Any) -> Flow[bool]:
        if self._is_near:
            yield from self._deleting(key)
        lookup = yield from self._cache.looking_up(key, self._dependencies, timeout)
        return (yield from self._cache.filling(lookup, value))

    def _deleting(self, key: Any) -> Flow[bool]:
        return (yield from self._cache.forgetting(self._cache.key_of(key, self._dependencies)))


class AsyncDependent(Dependent):
    """The same over an async cache: decorators tell it by its coroutine functions."""

    async def get(self, key: Any, default: Any = NOT_GIVEN) -> Any:
        return await super().get(key, default)

    async def set(self, key: Any, value: Any, timeout: Any = NOT_GIVEN) -> Any:
        return await super().set(key, value, timeout)

    async def delete(self, key: Any) -> Any:
        return await super().delete(key)
