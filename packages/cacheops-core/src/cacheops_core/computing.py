"""Computing what is not stored, as flows: one of many callers does it while the others wait.

Where ``stale`` answers will do, nobody waits: whoever has the lock moves the answer that has just been
invalidated to a place where the others find it, and where it ends after so many seconds whatever happens.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any

from . import flows, locks, simple
from .errors import BackendError, ConfigurationError
from .flows import Flow, Work
from .keys import stable_key
from .locks import Lock
from .lookups import NOT_GIVEN, Lookup, Samples, milliseconds
from .near import MISS
from .options import seconds
from .serializers import LoadError, load
from .verbs import Verbs

log: logging.Logger = logging.getLogger("cacheops")

_computing_now: ContextVar[frozenset[str]] = ContextVar("cacheops_computing_now", default=frozenset())
"""The locks under which the current context computes: it must not wait for itself."""


class ComputingVerbs(Verbs):
    """Answers that are computed where they are not stored."""

    # What the two caches do differently

    patience: float
    """Seconds for which a command may block."""

    def renewing(self, lock: Lock) -> AbstractContextManager[None]:
        """Renew a lock, beside the flow that holds it, for as long as this lasts."""
        raise NotImplementedError

    # What they have in common

    def computing(
        self,
        key: Any,
        dependencies: Samples,
        compute: Callable[[], Any],
        timeout: Any = NOT_GIVEN,
        lock: bool = False,
        stale: float = 0.0,
        near: Hashable = False,
        told: Callable[[bool], None] | None = None,
    ) -> Flow[Any]:
        """Return what is stored, or else compute and store it; with a lock, one of many callers does.

        Whoever computes has ``told`` called with whether the answer was stored.
        """
        lookup = yield from self.looking_up(key, dependencies, timeout, near)
        if lookup.is_hit:
            return lookup.value
        return (yield from self.computing_missed(lookup, compute, lock, stale, told))

    def computing_missed(
        self,
        lookup: Lookup,
        compute: Callable[[], Any],
        lock: bool = False,
        stale: float = 0.0,
        told: Callable[[bool], None] | None = None,
    ) -> Flow[Any]:
        """Compute and store what is not stored, as its lookup has told."""
        lookup.told = told
        can_be_shared = lookup.head is not None or (stale and lookup.outdated is not None)
        if (lock or stale) and can_be_shared:
            return (yield from self._computing_once(lookup, compute, stale))
        return (yield from self._computing(lookup, compute))

    def _computing(self, lookup: Lookup, compute: Callable[[], Any]) -> Flow[Any]:
        value = yield Work(compute)
        is_stored = yield from self.filling(lookup, value)
        if lookup.told is not None:
            lookup.told(is_stored)
        return value

    def _computing_once(self, lookup: Lookup, compute: Callable[[], Any], stale: float) -> Flow[Any]:
        lock = Lock.of(self.options.prefix, lookup.key.removeprefix(self.options.prefix + "e:"))
        is_through = False
        while not is_through and lock.key not in _computing_now.get():
            held = yield from self.unless_down(locks.take(lock), None)
            if held is None:
                break
            if held.token == lock.token:
                return (yield from self._computing_alone(lock, lookup, compute, stale))
            if stale and (old := (yield from self._reading_old(lookup))) is not MISS:
                return old
            is_through = yield from self.unless_down(locks.wait(lock, held, self.patience), True)
            yield from self._looking_again(lookup)
            if lookup.is_hit:
                return lookup.value
        # Whoever we waited for has failed, or could not store its answer. Waiting on would make a queue.
        return (yield from self._computing(lookup, compute))

    def _computing_alone(
        self, lock: Lock, lookup: Lookup, compute: Callable[[], Any], stale: float
    ) -> Flow[Any]:
        before = _computing_now.set(_computing_now.get() | {lock.key})
        try:
            with self.renewing(lock):
                # Somebody may have stored it between our look and our lock.
                yield from self._looking_again(lookup)
                if not lookup.is_hit:
                    if stale and lookup.outdated is not None:
                        retiring = flows.retire(
                            lookup.key, _old(lookup.key), lookup.outdated, milliseconds(stale)
                        )
                        yield from self.unless_down(retiring, None)
                    lookup.value = yield from self._computing(lookup, compute)
            return lookup.value
        finally:
            _computing_now.reset(before)
            if not self._is_cut_off():
                try:
                    yield from self.insisting(locks.give_back(lock))
                except BackendError as error:
                    log.warning("Lock %s was not given back: %s", lock.key, error)

    def _looking_again(self, lookup: Lookup) -> Flow[None]:
        lookup.head = lookup.outdated = None
        yield from self.unless_down(self._looking(lookup), None)

    def _reading_old(self, lookup: Lookup) -> Flow[Any]:
        (entry,) = yield from self.unless_down(simple.read([_old(lookup.key)]), [None])
        if entry is None:
            return MISS
        head, payload = entry[: lookup.stamps.head_length], entry[lookup.stamps.head_length :]
        try:
            return load(self.serializer, payload, (lookup.key, head))
        except LoadError:
            return MISS

    def holding(self, lock: Lock) -> Flow[None]:
        """Take a lock, waiting for as long as it takes; without the server nobody holds any."""
        if self._is_cut_off():
            raise BackendError("the cache server does not answer, and will be asked again when it does")
        yield from self.insisting(locks.hold(lock, self.patience))

    def lock_of(self, name: Any, timeout: float) -> Lock:
        """Return an attempt at a lock, whose holder counts as dead that long after its last sign of life."""
        lease = seconds(timeout, "timeout")
        if lease is None:
            raise ConfigurationError(
                "timeout must be a number of seconds, got None: a dead holder must be found out"
            )
        return Lock.of(self.options.prefix, stable_key("lock", name).hex(), lease)


def _old(key: str) -> str:
    """Return where an entry's last answer stays for a while after it was invalidated."""
    return key + ":old"
