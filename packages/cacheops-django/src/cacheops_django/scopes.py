"""What the code that is running has asked for, per thread and task: no invalidation, or a look at the database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, Literal, ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")

_muted: ContextVar[int] = ContextVar("cacheops_muted", default=0)
_is_deciding: ContextVar[bool] = ContextVar("cacheops_is_deciding", default=False)


class NoInvalidation:
    """As a context manager or a decorator, lets writes pass without invalidating what depends on them.

    What was skipped stays in the cache until its timeout, unless ``invalidate_obj`` or
    ``invalidate_model`` is called for it. Can be nested and shared.
    """

    @property
    def active(self) -> bool:
        """Whether this is in force for the code that asks."""
        return is_muted()

    def __enter__(self) -> None:
        # The tokens of one shared object cannot be kept on it: tasks enter and leave in any order.
        _muted.set(_muted.get() + 1)

    def __exit__(self, *exception: object) -> None:
        _muted.set(_muted.get() - 1)

    def __call__(self, func: Callable[P, R]) -> Callable[P, R]:
        if iscoroutinefunction(func):

            async def muted_async(*args: P.args, **kwargs: P.kwargs) -> Any:
                with self:
                    return await func(*args, **kwargs)

            return cast("Callable[P, R]", wraps(func)(muted_async))

        @wraps(func)
        def muted(*args: P.args, **kwargs: P.kwargs) -> R:
            with self:
                return func(*args, **kwargs)

        return muted


no_invalidation: NoInvalidation = NoInvalidation()


def is_muted() -> bool:
    """Tell whether writes are to pass without invalidating."""
    return _muted.get() > 0


_postponed: ContextVar[list[Any] | None] = ContextVar("cacheops_postponed", default=None)


@contextmanager
def postponing(collected: list[Any]) -> Iterator[None]:
    """Collect what is to be invalidated in here, and leave it to the caller to do so."""
    token = _postponed.set(collected)
    try:
        yield
    finally:
        _postponed.reset(token)


def postponed() -> list[Any] | None:
    """Return where invalidations are collected, if they are."""
    return _postponed.get()


@contextmanager
def deciding() -> Iterator[None]:
    """Mark what Django reads to decide on a write, and what it writes then.

    Such reads go past the cache: in the original, a stale list of tags read by ``set()`` loses the write in
    the database itself. And an ``update()`` in here is Django's way of saving objects, so it is tracked.
    """
    token = _is_deciding.set(True)
    try:
        yield
    finally:
        _is_deciding.reset(token)


def is_deciding() -> bool:
    """Tell whether Django is deciding on a write."""
    return _is_deciding.get()


Tracking = Literal["rows", "table", "nothing"]
_tracking: ContextVar[Tracking] = ContextVar("cacheops_tracking", default="rows")


@contextmanager
def tracking(mode: Tracking) -> Iterator[None]:
    """Say what an UPDATE in here invalidates: the rows that it changes, the whole table, or nothing."""
    token = _tracking.set(mode)
    try:
        yield
    finally:
        _tracking.reset(token)


def current_tracking() -> Tracking:
    """Return what an UPDATE invalidates."""
    return _tracking.get()
