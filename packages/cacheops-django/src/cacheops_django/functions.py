"""Functions whose results are kept: until a sample changes (`cached_as`), or for a time (`cached`)."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import timedelta
from functools import partial
from typing import Any, ParamSpec, TypeVar, cast, overload

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async

from cacheops_core import near_writes
from cacheops_core.decorators import CachedFunction, Decorator, Policy, StoredCall, hand_on, is_constant
from cacheops_core.decorators import cached as checked
from cacheops_core.errors import CacheMiss, ConfigurationError
from cacheops_core.keys import call_key
from cacheops_core.options import seconds

from .reasons import Uncacheable
from .results import NOT_GIVEN, Results, Sample

__all__ = [
    "ProjectCoroutineFunction",
    "ProjectFunction",
    "cached",
    "cached_as",
    "decorator",
    "function_and_timeout",
]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class Kept:
    """The results of one function by their keys: what `f.key(...)` asks of a cache."""

    def __init__(self, results: Results, func: Callable[..., Any]) -> None:
        self.results = results
        self.func = func

    def get(self, key: bytes, default: Any = NOT_GIVEN) -> Any:
        """Return what is kept for a call; without a default, raise CacheMiss if there is nothing."""
        results, usable = self.results, self.results.usable(self.func)
        if usable is not None:
            found, cache = usable
            lookup = results.look(cache, key, found, results.timeout()).lookup
            if lookup.is_hit:
                return lookup.value
        if default is NOT_GIVEN:
            raise CacheMiss(key)
        return default

    def set(self, key: bytes, value: Any, timeout: Any = NOT_GIVEN) -> None:
        """Keep a value for a call, unless the open transaction has written to what it depends on."""
        results, usable = self.results, self.results.usable(self.func)
        if usable is not None:
            found, cache = usable
            lifetime = results.timeout() if timeout is NOT_GIVEN else seconds(timeout, "timeout")
            asked = results.look(cache, key, found, lifetime)
            results.keep(asked, value)
            near_writes.drop_entries(cache.options.prefix, [asked.lookup.key])

    def delete(self, key: bytes) -> bool:
        """Drop what is kept for a call; return whether there was anything."""
        try:
            found = self.results.dependencies()
            cache = self.results.cache(self.func)
        except Uncacheable:
            return False
        return cache.driver.run(cache.forgetting(cache.key_of(key, found)))


MOST_KEYS = 1000
"""Keys of calls that a function remembers."""


class ProjectFunction(CachedFunction[P, R]):
    """A function that is called only for results that the project's cache does not have."""

    def __init__(self, func: Callable[P, R], policy: Policy) -> None:
        super().__init__(func, policy)
        hand_on(self, "ainvalidate")
        self._is_constant: bool = policy.extra is None and is_constant(func)
        self._keys: dict[Any, bytes] = {}

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        kept: Kept = self._policy.cache
        make_key, compute = self._makers(*args, **kwargs)
        return cast(R, kept.results.answer(kept.func, make_key, compute))

    def __cache_key__(self) -> Any:
        return self.__wrapped__, self._policy.cache.results, self._policy.extra

    def key(self, *args: P.args, **kwargs: P.kwargs) -> StoredCall:
        # Of what the results depend on it has to be known what is so by now.
        self._policy.cache.results.know()
        return super().key(*args, **kwargs)

    async def ainvalidate(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Drop the stored result of the call with these arguments."""
        return bool(await sync_to_async(self.invalidate)(*args, **kwargs))

    def _makers(self, *args: P.args, **kwargs: P.kwargs) -> tuple[Callable[[], bytes], Callable[[], R]]:
        return partial(self._call_key, args, kwargs), partial(self.__wrapped__, *args, **kwargs)

    def _call_key(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
        results = self._policy.cache.results
        quick = self._quick_key(args, kwargs) if self._is_constant else None
        if quick is None:
            return call_key(self.__wrapped__, args, kwargs, self._policy.extra, beside=results)
        # Whoever asks for the key has just asked what the results depend on.
        at = (results.known or results.know())[2], quick
        key = self._keys.get(at)
        if key is None:
            if len(self._keys) >= MOST_KEYS:
                self._keys.clear()
            key = self._keys[at] = call_key(self.__wrapped__, args, kwargs, beside=results)
        return key


class ProjectCoroutineFunction(ProjectFunction[P, Coroutine[Any, Any, T]]):
    """The same for ``async def``."""

    def __init__(self, func: Callable[P, Coroutine[Any, Any, T]], policy: Policy) -> None:
        super().__init__(func, policy)
        markcoroutinefunction(self)

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        kept: Kept = self._policy.cache
        make_key, compute = self._makers(*args, **kwargs)
        return cast(T, await kept.results.aanswer(kept.func, make_key, compute))


def decorator(results: Results, extra: Any) -> Decorator:
    """Return what makes a function one whose results are kept in this way."""

    def decorate(func: Callable[..., Any]) -> CachedFunction[..., Any]:
        inner = getattr(func, "__func__", func)
        kept = Kept(results, inner)
        # The core knows what can be cached, and says what is wrong with all else.
        checked(kept, func)
        kind = ProjectCoroutineFunction if iscoroutinefunction(inner) else ProjectFunction
        return kind(func, Policy(kept, NOT_GIVEN, extra, {}))

    return cast(Decorator, decorate)


def cached_as(
    *samples: Sample,
    timeout: Any = None,
    extra: Any = None,
    lock: bool | None = None,
    keep_fresh: bool = True,
    stale: float = 0.0,
    near: bool | None = None,
) -> Decorator:
    """Keep the results of a function until one of the samples changes, or for ``timeout`` seconds.

    The timeout is by default the least of those that the samples' profiles say. Results are kept by arguments, by
    what the function closes over, and by ``extra``, which may be a function that is given the arguments. With
    ``lock`` (by default as the profiles say) one caller computes while the others wait; with ``stale`` they get the
    old result meanwhile, for at most so many seconds. With ``near`` (by default as the profiles of all that is
    depended on say) this process keeps copies of its own. ``keep_fresh`` is what happens anyway: a result that was
    computed while a sample changed is not kept.
    """
    if not samples:
        raise ConfigurationError("cached_as needs a queryset, a model or an instance to depend on, got none")
    return decorator(Results(samples, timeout, lock=lock, stale=stale, near=near), extra)


@overload
def cached(func: Callable[P, R], /) -> CachedFunction[P, R]: ...


@overload
def cached(
    func: float | timedelta | None = None,
    /,
    extra: Any = ...,
    *,
    timeout: Any = ...,
    lock: bool = ...,
    stale: float = ...,
    near: bool = ...,
) -> Decorator: ...


def cached(
    func: Callable[..., Any] | float | timedelta | None = None,
    /,
    extra: Any = None,
    *,
    timeout: Any = None,
    lock: bool = False,
    stale: float = 0.0,
    near: bool = False,
) -> Any:
    """Keep the results of a function for ``timeout`` seconds, for ever if that is None.

    The timeout may also come first, and ``extra`` then: ``@cached(60)``. Results know nothing of the database: inside a
    transaction they are served and kept as anywhere. With ``near`` this process keeps copies of its own.
    """
    function, timeout = function_and_timeout(func, timeout)
    decorate = decorator(Results((), timeout, lock=lock, stale=stale, near=near), extra)
    return decorate if function is None else decorate(function)


def function_and_timeout(first: Any, timeout: Any) -> tuple[Any, Any]:
    """Return what is to be cached and for how long, where the first argument may be either."""
    return (None, first) if isinstance(first, int | float | timedelta) else (first, timeout)
