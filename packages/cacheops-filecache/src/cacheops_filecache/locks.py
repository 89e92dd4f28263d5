"""Locks among threads and processes, one file each; a holder that dies gives its lock back by dying."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cacheops_core.errors import BackendError

if TYPE_CHECKING:
    from filelock import BaseFileLock

__all__ = ["LOCK", "FileLock", "remove_if_free"]

LOCK = ".lock"
"""What the names of lock files end with."""

_POLL_SECONDS = 0.02


class FileLock:
    """One attempt to hold the lock of a file."""

    def __init__(self, path: str) -> None:
        import filelock  # takes longer to import than everything else here, and few need it

        self._timeout_error = filelock.Timeout
        # Not per thread: what a coroutine takes in one thread, it may give back in another.
        self._lock: BaseFileLock = filelock.FileLock(
            path, mode=0o600, thread_local=False, poll_interval=_POLL_SECONDS
        )

    def acquire(self, blocking: bool = True) -> bool:
        """Take the lock; return False if it is taken and ``blocking`` is false."""
        try:
            self._lock.acquire(blocking=blocking)
        except self._timeout_error:
            return False
        except OSError as error:
            raise BackendError(f"lock file {self._lock.lock_file} cannot be used: {error}") from error
        return True

    def release(self) -> None:
        """Give the lock back."""
        self._lock.release()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock for as long as this lasts."""
        self.acquire()
        try:
            yield
        finally:
            self.release()


def remove_if_free(path: str) -> bool:
    """Remove a lock file that nobody holds; return whether it was removed.

    It is removed while we hold it: who has opened it meanwhile and gets the lock after us sees that the file
    is gone, and makes a new one.
    """
    lock = FileLock(path)
    try:
        if not lock.acquire(blocking=False):
            return False
        try:
            os.unlink(path)  # noqa: PTH108 - as everywhere in this package
        finally:
            lock.release()
    except OSError:
        return False
    return True
