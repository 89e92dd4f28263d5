"""Locks among processes: one computes, the others wait and are woken.

A holder has a token of its own, so that nobody gives back what another holds, and a lease that it renews for
as long as it lives. When it dies, the lease ends soon after, and one of the waiters goes on. Waiters block on
the server, and are all woken at once. They never form a queue: if the holder has failed, whoever waited for it
goes ahead alone, instead of failing one after the other.

These locks save work. They do not guard the truth of what is stored, stamps do that: a holder that was
stopped for longer than its lease, and wakes up beside another, only does the work twice.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import uuid4

from .errors import BackendError
from .flows import Call, Command, Flow
from .scripts import LOCK, RENEW, UNLOCK

log: logging.Logger = logging.getLogger("cacheops")

LEASE = 3.0
"""Seconds after which a holder counts as dead that has not renewed its lock. It does so three times in it."""

TOLD = 10_000
"""Milliseconds for which waiters are told that a holder is through, in case that they are only about to wait."""


@dataclass(frozen=True, slots=True)
class Lock:
    """One attempt to hold a lock."""

    key: str
    waiters: str
    """What the names of the lists begin with on which waiters block."""

    lease: int
    """Milliseconds."""

    token: str = field(default_factory=lambda: uuid4().hex)

    @classmethod
    def of(cls, prefix: str, name: str, lease: float = LEASE) -> Lock:
        """Return an attempt at the lock of this name, which is digits and letters only."""
        return cls(f"{prefix}l:{{{name}}}", f"{prefix}w:{{{name}}}:", round(lease * 1000))


@dataclass(frozen=True, slots=True)
class Held:
    """Who holds a lock, and for how many milliseconds unless it is renewed."""

    token: str
    left: int


def take(lock: Lock) -> Flow[Held]:
    """Take a lock if it is free; return who holds it now, which may be us."""
    token, left = yield Call(LOCK, (lock.key,), (lock.token, lock.lease))
    return Held(token.decode("ascii", "replace"), left)


def renew(lock: Lock) -> Flow[bool]:
    """Let a lock that we hold live on; return whether we still held it."""
    return bool((yield Call(RENEW, (lock.key,), (lock.token, lock.lease))))


def give_back(lock: Lock) -> Flow[bool]:
    """Let go of a lock and wake all waiters; return whether we still held it."""
    keys = (lock.key, lock.waiters + lock.token)
    return bool((yield Call(UNLOCK, keys, (lock.token, TOLD))))


def wait(lock: Lock, held: Held, patience: float) -> Flow[bool]:
    """Wait for the holder, at most so many seconds and for its lease; return whether it is through."""
    waiters = lock.waiters + held.token
    # The server takes a timeout of 0 as for ever.
    seconds = max(0.001, min(patience, held.left / 1000))
    return (yield Command("BLMOVE", (waiters, waiters, "LEFT", "RIGHT", seconds))) is not None


def hold(lock: Lock, patience: float) -> Flow[None]:
    """Take a lock, waiting for as long as it takes."""
    while (held := (yield from take(lock))).token != lock.token:
        yield from wait(lock, held, patience)


class Renewer:
    """Renews the locks that this process holds, from one thread that lives only while there are any."""

    def __init__(self, run: Callable[[Flow[bool]], bool]) -> None:
        self._run = run
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._held: dict[str, tuple[Lock, float]] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    @contextmanager
    def renewing(self, lock: Lock) -> Iterator[None]:
        """Renew a lock for as long as this lasts."""
        if self._pid != os.getpid():
            # After a fork the thread is the parent's, and its condition may be locked for ever.
            self._reset()
        with self._changed:
            self._held[lock.token] = (lock, _due(lock))
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="cacheops-locks", daemon=True)
                self._thread.start()
            self._changed.notify()
        try:
            yield
        finally:
            if self._pid != os.getpid():
                # Forked in between: as above.
                self._reset()
            with self._changed:
                self._held.pop(lock.token, None)

    def _work(self) -> None:
        while (lock := self._next()) is not None:
            try:
                self._run(renew(lock))
            except BackendError as error:
                log.warning("Lock %s was not renewed: %s", lock.key, error)

    def _next(self) -> Lock | None:
        """Return the next lock that is due, or None at the end of a while in which none was held."""
        with self._changed:
            while self._held:
                lock, due = min(self._held.values(), key=_by_due)
                if (left := due - time.monotonic()) <= 0:
                    self._held[lock.token] = (lock, _due(lock))
                    return lock
                self._changed.wait(left)
                if not self._held:
                    self._changed.wait(LEASE)
            self._thread = None
            return None


def _due(lock: Lock) -> float:
    return time.monotonic() + lock.lease / 3000


def _by_due(held: tuple[Lock, float]) -> float:
    return held[1]
