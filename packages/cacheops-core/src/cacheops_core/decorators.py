"""Functions whose results are kept in a cache: any object with ``get``, ``set`` and ``delete``.

A cached function stays a function to those who call it, with two more words: ``f.invalidate(*args)`` drops what
one call has stored, and ``f.key(*args)`` is where it is stored, to ``get()``, ``set()`` or ``delete()`` it.

Callers that wait for one another (``lock=True``) are the business of the cache: of its ``get_or_compute``.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from functools import update_wrapper
from types import FunctionType, MethodType
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar, cast, overload

from .errors import ConfigurationError
from .keys import call_key
from .serializers import DumpError

__all__ = ["NOT_GIVEN", "CachedCoroutineFunction", "CachedFunction", "StoredCall", "cached"]

P = ParamSpec("P")
P_rest = ParamSpec("P_rest")
R = TypeVar("R")
S = TypeVar("S")
T = TypeVar("T")

NOT_GIVEN: Any = object()
"""Stands for an argument that was left out, where None means something."""

_MISS: Any = object()

log: logging.Logger = logging.getLogger("cacheops")


@dataclass(eq=False, slots=True)
class Policy:
    """How the results of one function, and of all methods bound from it, are kept."""

    cache: Any
    timeout: Any
    extra: Any
    options: dict[str, Any]
    """Arguments for the cache's ``get_or_compute``; where there are none, it is not needed."""

    near: Any = None
    """The copies that this process has of results, if any are to be kept."""

    token: object = field(default_factory=object)
    """Tells the functions apart whose results these are, for as long as the process lives."""

    has_warned: bool = False


@dataclass(frozen=True, slots=True)
class StoredCall:
    """Where one call's result is stored; the methods return what the cache's do, so await an async one's."""

    _key: bytes
    _policy: Policy

    def get(self, default: Any = NOT_GIVEN) -> Any:
        """Return the stored result; without a default, raise ``CacheMiss`` if there is none."""
        return self._policy.cache.get(self._key, *_given(default))

    def set(self, value: Any, timeout: Any = NOT_GIVEN) -> Any:
        """Store a value as the call's result, for the function's timeout if none is given."""
        timeout = self._policy.timeout if timeout is NOT_GIVEN else timeout
        return self._policy.cache.set(self._key, value, *_given(timeout))

    def delete(self) -> Any:
        """Remove the stored result, if any."""
        return self._policy.cache.delete(self._key)

    def get_or_compute(self, compute: Callable[[], Any], near: Any = None) -> Any:
        """Return the stored result, or what ``compute`` returns, in the way that the function's options ask.

        ``near`` is by what this process finds its copy, if there is a shorter way than the call's key.
        """
        policy = self._policy
        options = policy.options if near is None else policy.options | {"near": near}
        return policy.cache.get_or_compute(self._key, {}, compute, *_given(policy.timeout), **options)


class CachedFunction(Generic[P, R]):
    """A function that is called only for results that its cache does not have."""

    __wrapped__: Callable[P, R]

    def __init__(self, func: Callable[P, R], policy: Policy) -> None:
        update_wrapper(self, func)
        hand_on(self, "invalidate", "key")
        self._policy = policy
        self._is_quick: bool = policy.near is not None and policy.extra is None and is_constant(func)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        near = self._quick_key(args, kwargs) if self._is_quick else None
        if near is not None and (value := self._policy.near.get(near, _MISS)) is not _MISS:
            return cast(R, value)
        stored = self.key(*args, **kwargs)
        if self._policy.options:
            return cast(R, stored.get_or_compute(lambda: self.__wrapped__(*args, **kwargs), near))
        value = stored.get(_MISS)
        if value is not _MISS:
            return cast(R, value)
        value = self.__wrapped__(*args, **kwargs)
        try:
            stored.set(value)
        except DumpError as error:
            self._return_unstored(error)
        return value

    def key(self, *args: P.args, **kwargs: P.kwargs) -> StoredCall:
        """Return where the result of the call with these arguments is stored."""
        try:
            key = self._call_key(args, kwargs)
        except TypeError:
            # Of a bound method one may give its object too, as with django-cacheops one has to.
            if not args or args[0] is not getattr(self.__wrapped__, "__self__", NOT_GIVEN):
                raise
            key = self._call_key(args[1:], kwargs)
        return StoredCall(key, self._policy)

    def _call_key(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
        return call_key(self.__wrapped__, args, kwargs, self._policy.extra)

    def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Drop the stored result of the call with these arguments; await it if the cache is async."""
        return self.key(*args, **kwargs).delete()

    @overload
    def __get__(self, instance: None, owner: Any = None) -> Self: ...

    @overload
    def __get__(
        self: CachedFunction[Concatenate[S, P_rest], R], instance: S, owner: Any = None
    ) -> CachedFunction[P_rest, R]: ...

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        # Whatever the function becomes in a class, so that @classmethod and @staticmethod may stand below.
        bound = cast(Any, self.__wrapped__).__get__(instance, owner)
        return self if bound is self.__wrapped__ else type(self)(bound, self._policy)

    def __cache_key__(self) -> Any:
        return self.__wrapped__, self._policy.extra

    def __reduce__(self) -> str:
        # Pickled by name, as functions are, so that process pools take it.
        return cast(Any, self).__qualname__  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"<cached {self.__wrapped__!r}>"

    def _quick_key(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return what tells this call from all others in this process; None where only its key can."""
        kinds = tuple(map(type, args))
        if not kwargs:
            return (self._policy.token, args, kinds) if _QUICK.issuperset(kinds) else None
        kinds += tuple(map(type, kwargs.values()))
        return (self._policy.token, args, *kwargs.items(), kinds) if _QUICK.issuperset(kinds) else None

    def _return_unstored(self, error: DumpError) -> None:
        if not self._policy.has_warned:
            self._policy.has_warned = True
            log.warning("Results of %r are returned and not cached: %s", self.__wrapped__, error)


class CachedCoroutineFunction(CachedFunction[P, Coroutine[Any, Any, T]]):
    """The same for ``async def``: with an async cache on the event loop, with a sync one through threads."""

    def __init__(self, func: Callable[P, Coroutine[Any, Any, T]], policy: Policy) -> None:
        super().__init__(func, policy)
        _mark_as_coroutine_function(self)

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        near = self._quick_key(args, kwargs) if self._is_quick else None
        if near is not None and (value := self._policy.near.get(near, _MISS)) is not _MISS:
            return cast(T, value)
        stored = self.key(*args, **kwargs)
        if self._policy.options:
            return await self._get_or_compute(stored, lambda: self.__wrapped__(*args, **kwargs), near)
        value = await self._ask(stored.get, _MISS)
        if value is not _MISS:
            return cast(T, value)
        value = await self.__wrapped__(*args, **kwargs)
        try:
            await self._ask(stored.set, value)
        except DumpError as error:
            self._return_unstored(error)
        return value

    async def _ask(self, method: Callable[..., Any], *args: Any) -> Any:
        if _is_async(self._policy.cache):
            return await method(*args)
        import asyncio

        return await asyncio.to_thread(method, *args)

    async def _get_or_compute(
        self, stored: StoredCall, compute: Callable[[], Awaitable[T]], near: Any = None
    ) -> T:
        if _is_async(self._policy.cache):
            return cast(T, await stored.get_or_compute(compute, near))
        import asyncio

        # The thread waits for the lock and holds it; the function itself runs where its caller does.
        loop = asyncio.get_running_loop()

        def compute_on_loop() -> T:
            return asyncio.run_coroutine_threadsafe(_awaited(compute()), loop).result()

        return cast(T, await asyncio.to_thread(stored.get_or_compute, compute_on_loop, near))


class Decorator(Protocol):
    """What makes a function a cached one."""

    def __call__(self, func: Callable[P, R], /) -> CachedFunction[P, R]: ...


@overload
def cached(cache: Any, func: Callable[P, R], /) -> CachedFunction[P, R]: ...


@overload
def cached(
    cache: Any,
    func: None = None,
    /,
    *,
    timeout: Any = ...,
    extra: Any = ...,
    lock: bool = ...,
    stale: float = ...,
    near: bool = ...,
) -> Decorator: ...


def cached(
    cache: Any,
    func: Callable[..., Any] | None = None,
    /,
    *,
    timeout: Any = NOT_GIVEN,
    extra: Any = None,
    lock: bool = False,
    stale: float = 0.0,
    near: bool = False,
) -> Any:
    """Make a function keep its results in ``cache``, by its arguments.

    ``timeout`` is in seconds, the cache's own if not given. ``extra`` is anything else that the results depend on,
    or a function of the call's arguments that returns it. With ``lock`` a result is computed by one caller while
    the others wait; with ``stale`` they get the old one meanwhile, for at most so many seconds. With ``near`` this
    process keeps copies of results, which may be older than the results of others by the cache's ``near_max_age``.
    All need a cache with ``get_or_compute``.
    """
    asked = (("lock", lock), ("stale", stale), ("near", near))
    options = {name: value for name, value in asked if value}
    if options and not hasattr(cache, "get_or_compute"):
        raise ConfigurationError(f"{cache!r} has no get_or_compute, which {[*options]} needs: leave it out")

    def decorate(func: Callable[..., Any]) -> CachedFunction[..., Any]:
        kind = CachedCoroutineFunction if _is_coroutine(func, cache) else CachedFunction
        return kind(func, Policy(cache, timeout, extra, options, cache.near if near else None))

    return decorate if func is None else decorate(func)


def hand_on(cached: Any, *names: str) -> None:
    """Let decorators that are put above a cached function have these methods of it too, by `functools.wraps`."""
    # Not by getattr(): what is wrapped may have handed on its own.
    vars(cached).update({name: MethodType(getattr(type(cached), name), cached) for name in names})


_QUICK: frozenset[type] = frozenset({str, bytes, int, bool, type(None)})
"""Arguments that are equal if their keys are, types being equal. (0.0 and -0.0 have two keys.)"""


def is_constant(func: Any) -> bool:
    """Return whether the key of a call depends on nothing that can change but its arguments."""
    if type(func) is not FunctionType or func.__closure__:
        return False
    defaults = (*(func.__defaults__ or ()), *(func.__kwdefaults__ or {}).values())
    return _QUICK.issuperset(map(type, defaults))


def _is_coroutine(func: Any, cache: Any) -> bool:
    """Return whether this is a coroutine function; raise ``ConfigurationError`` if it cannot be cached."""
    import inspect

    inner = getattr(func, "__func__", func)
    if not callable(inner):
        raise ConfigurationError(f"only functions can be cached, got {func!r}: write cached(timeout=...)")
    if inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner):
        raise ConfigurationError(f"{func!r} is a generator, which can be read only once: return a list")
    is_coroutine = isinstance(inner, CachedCoroutineFunction) or inspect.iscoroutinefunction(inner)
    if _is_async(cache) and not is_coroutine:
        raise ConfigurationError(f"{func!r} cannot wait for an async cache: make it async def")
    return is_coroutine


def _is_async(cache: Any) -> bool:
    import inspect

    return inspect.iscoroutinefunction(cache.get)


async def _awaited(awaitable: Awaitable[T]) -> T:
    return await awaitable


def _mark_as_coroutine_function(func: Any) -> None:
    import asyncio
    import inspect

    mark = getattr(inspect, "markcoroutinefunction", None)
    if mark is not None:
        mark(func)
    else:  # Python 3.11 has no public way, and asgiref does the same
        func._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]


def _given(argument: Any) -> tuple[Any, ...]:
    return () if argument is NOT_GIVEN else (argument,)
