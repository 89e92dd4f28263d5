"""Computing what is not stored: at once, or by one of all processes while the others wait."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import TypeVar

from cacheops_core.serializers import DumpError

from .folder import MISS, Folder

__all__ = ["computed", "computed_once"]

R = TypeVar("R")

_computing_now: ContextVar[frozenset[bytes]] = ContextVar(
    "cacheops_filecache_computing_now", default=frozenset()
)
"""The keys for which the current context holds the lock: it must not wait for itself."""


def computed(folder: Folder, digest: bytes, compute: Callable[[], R], expiry: Callable[[], int]) -> R:
    """Return what ``compute`` returns and store it until what ``expiry`` says then; an error of its goes out."""
    value = compute()
    try:
        folder.set(digest, value, expiry())
    except DumpError as error:
        folder.warn("results are returned and not stored: %s", error)
    return value


def computed_once(folder: Folder, digest: bytes, compute: Callable[[], R], expiry: Callable[[], int]) -> R:
    """Do so in one of many callers, in any process; the others return what that one has stored."""
    # A computes; B, C and D wait; A fails. If B then computed under the lock, and failed as slowly, C would
    # wait for two failures and D for three. So who has waited never holds the lock while it computes.
    if digest in _computing_now.get():
        return computed(folder, digest, compute, expiry)
    try:
        lock = folder.lock("compute", digest)
        is_first = lock.acquire(blocking=False)
        if not is_first:
            lock.acquire()
            lock.release()
    except OSError as error:
        folder.warn("computing without a lock: %s", error)
        return computed(folder, digest, compute, expiry)
    before = _computing_now.set(_computing_now.get() | {digest})
    try:
        # Somebody may have stored it between our look and our lock, or before we stopped waiting.
        value = folder.get(digest)
        return computed(folder, digest, compute, expiry) if value is MISS else value
    finally:
        _computing_now.reset(before)
        if is_first:
            lock.release()
