"""Asking a cache for a fragment, in the words that it understands: written once, run with and without ``await``.

A flow yields functions to be called and is sent what they return. In an async environment the cache may be one for
asyncio, or one that blocks: then each call to it has a thread for itself while it lasts, and no thread waits while
the fragment is rendered. (If threads did, fragments inside of others would wait for threads that wait for them.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from inspect import Parameter, isawaitable, iscoroutinefunction, signature
from typing import Any

from cacheops_core.errors import ConfigurationError

__all__ = ["Flow", "Fragment", "asking", "check", "run", "run_async"]

Flow = Generator[Callable[[], Any], Any, Any]

CACHES = "a Cache or an AsyncCache of cacheops_core, or a FileCache of cacheops_filecache"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragment:
    """A piece of a template with the values that it is rendered with."""

    key: str
    dependencies: Any
    """What the text depends on, in the cache's terms; an empty dict for nothing."""
    render: Callable[[], Any]
    """A coroutine function in an async environment."""
    timeout: tuple[float | None, ...] = ()
    """The seconds for which the text is kept; empty where the cache is to decide."""
    lock: bool | None = None
    """Whether one of many renders the text while the others wait; None where the cache is to decide."""


def check(cache: Any, place: str, *, follows: bool, locks: bool, is_async: bool) -> None:
    """Raise ``ConfigurationError`` if a fragment cannot be kept in such a cache."""
    if cache is None:
        raise ConfigurationError(f"{place} has no cache: set environment.cacheops to {CACHES}")
    known = [verb for verb in ("fetch", "get_or_compute", "get") if callable(getattr(cache, verb, None))]
    if not known:
        raise ConfigurationError(f"{place} needs environment.cacheops to be {CACHES}, got {_kind(cache)}")
    if follows and "fetch" not in known and not hasattr(cache, "dependencies_of"):
        raise ConfigurationError(
            f"{place} needs a cache that follows what a text depends on, got {_kind(cache)}: set "
            f"environment.cacheops to a Cache of cacheops_core, or write cached with a timeout"
        )
    if not is_async and iscoroutinefunction(getattr(cache, known[0])):
        raise ConfigurationError(
            f"{place} cannot wait for {_kind(cache)}: make the environment with enable_async=True, "
            f"or set environment.cacheops to a Cache"
        )
    if locks and not _locks(cache, is_async):
        kinds = "an AsyncCache of cacheops_core" if is_async else CACHES.replace("or an AsyncCache ", "")
        raise ConfigurationError(
            f"{place} has lock=, which {_kind(cache)} cannot do here: leave it out, or set environment.cacheops "
            f"to {kinds}"
        )


def asking(cache: Any, fragment: Fragment, is_async: bool) -> Flow:
    """Return the text that is stored, or else render and store it."""
    if hasattr(cache, "fetch") and not fragment.lock:
        # What it may be stored under is found out before it is rendered: so no write in between is missed.
        lookup = yield partial(cache.fetch, fragment.key, fragment.dependencies, *fragment.timeout)
        if lookup.is_hit:
            return lookup.value
        value = yield fragment.render
        yield partial(cache.fill, lookup, value)
        return value
    if _computes(cache, is_async):
        compute = partial(cache.get_or_compute, fragment.key, fragment.dependencies, fragment.render)
        given = fragment.lock is not None and _locks(cache, is_async)
        options = {"lock": fragment.lock} if given else {}
        return (yield partial(compute, *fragment.timeout, **options))
    value = yield partial(cache.get, fragment.key, None)
    if value is None:
        value = yield fragment.render
        if isinstance(value, str):
            # Anything else might be changed by whoever it is given to, and such a cache may hand it out twice.
            yield partial(cache.set, fragment.key, value, *fragment.timeout)
    return value


def run(flow: Flow) -> Any:
    """Return the result of a flow."""
    reply: Any = None
    while True:
        try:
            call = flow.send(reply)
        except StopIteration as stop:
            return stop.value
        reply = call()


async def run_async(flow: Flow) -> Any:
    """Return the result of a flow, without blocking the event loop."""
    reply: Any = None
    while True:
        try:
            call = flow.send(reply)
        except StopIteration as stop:
            return stop.value
        reply = call() if iscoroutinefunction(call) else await asyncio.to_thread(call)
        if isawaitable(reply):
            reply = await reply


def _computes(cache: Any, is_async: bool) -> bool:
    verb = getattr(cache, "get_or_compute", None)
    return verb is not None and (not is_async or iscoroutinefunction(verb))


def _locks(cache: Any, is_async: bool) -> bool:
    """Tell whether a cache lets one of many compute while the others wait: none that would hold threads meanwhile."""
    if not _computes(cache, is_async):
        return False
    parameters = signature(cache.get_or_compute).parameters
    return "lock" in parameters or any(one.kind is Parameter.VAR_KEYWORD for one in parameters.values())


def _kind(cache: Any) -> str:
    kind = type(cache)
    return f"{kind.__module__}.{kind.__qualname__}"
