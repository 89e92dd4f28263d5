"""The circuit: whether a server that does not answer is asked at all, and what it has not been told yet.

A request whose answer never came has cost somebody a time-out. Where the program goes on without its server
(`CacheOptions.degrade`), it opens the circuit: from then on nobody asks, reads go to the database, and what writes
have to drop is owed. Somebody in the background (`menders`) asks again and again what was not answered, sends what is
owed, and closes the circuit. There are libraries of circuit breakers, but they wrap calls, and have the request of a
user find out whether the server is back; here nobody waits for that.

What a server refuses opens nothing. It answers at once, and may go on serving what it has: one that is out of memory,
say, or that only reads. One that is still loading, or that wants another password, refuses too, but each time at the
cost of a new connection, and serves nobody: that counts as no answer.

**The race**, as a story. W finds the circuit open, and commits. Meanwhile the mender has sent all that was owed, and
closes the circuit. W now owes what it has changed. Reads of this process that begin once W has returned find that
it owes something, and send it before they ask. And whoever owes something sees to it that there is a mender: if the
last one is about to leave, it either finds the debt, or has left before it was looked for (`Circuit.is_needed`).

All caches over one client share its circuit. Threads do so without a lock: one that is held while a process forks
would stay locked in the child, and garbage may be collected, and a flow end with it, while its own thread holds one.
"""

from __future__ import annotations

import logging
import os
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from . import flows
from .errors import BackendError
from .flows import Command, Flow
from .forks import module_lock
from .options import CacheOptions
from .stamps import TableKeys
from .units import Debt, Owed

log: logging.Logger = logging.getLogger("cacheops")

SAME_NEWS = 60.0
"""Seconds for which it is not said again that a server refuses, and how."""

MOST_NEWS = 100
"""Ways to refuse that are told apart."""

NEGLECT = 10.0
"""Seconds without a sign of life from who mends after which requests ask for themselves again."""


class Mender(Protocol):
    """Who works in the background until a circuit is mended."""

    seen: float
    """When it gave the last sign of life."""

    def start(self) -> bool:
        """Begin; return whether that was possible."""

    def is_there(self) -> bool:
        """Tell whether it is at work, in this process."""

    def stop(self) -> None:
        """End soon."""


@dataclass(frozen=True, slots=True, eq=False)
class Outage:
    """A time in which a server does not answer."""

    question: tuple[Command, ...]
    """What it is to answer before it is trusted again: about the keys of the request that has failed, so that in a
    cluster it is the same node that is asked."""
    since: float = field(default_factory=time.monotonic)


class Circuit:
    """Whether the server of a client is asked, and what is owed to it."""

    is_open: bool = False
    """Whether it did not answer when it was asked last."""

    def __init__(self, client: Any, make_mender: Callable[[Circuit], Mender]) -> None:
        self.client: Any = client
        self.mender: Mender | None = None
        self._make_mender = make_mender
        self._owed: dict[str, tuple[Owed, int]] = {}
        self._outages: dict[str, Outage] = {}
        self._sent = 0
        self._told: dict[str, float] = {}

    def owed_by(self, options: CacheOptions) -> Owed:
        """Return what is owed by all caches with the prefix of these options."""
        return self._owed.setdefault(options.prefix, (Owed(), options.max_fences))[0]

    def owe(self, owed: Owed, debt: Debt) -> None:
        """Note what could not be sent, and see to it that it will be."""
        owed.add(debt)
        _owing.add(self)
        self.mend()

    def owes(self) -> bool:
        """Tell whether anything is to be sent."""
        return any(owed.debts() for owed, _ in list(self._owed.values()))

    def failed(self, error: BackendError) -> None:
        """Note that a request has failed, without which the program goes on."""
        if not error.unanswered:
            self._tell(str(error))
            return
        # The flag goes up before there is an outage, and down after there is none (`settling`). So in no order of
        # events is it up without an outage that ends; at worst one goes by unheeded until the next request fails.
        self.is_open = True
        outage = Outage(error.unanswered)
        # Of all who have waited at the same time, one has begun it.
        if self._outages.setdefault("now", outage) is outage:
            log.warning("%s; going on without the cache until it answers", str(error))
        self.mend()

    def _tell(self, text: str) -> None:
        now = time.monotonic()
        if now >= self._told.get(text, now):
            if len(self._told) >= MOST_NEWS:
                self._told.clear()
            self._told[text] = now + SAME_NEWS
            log.warning("%s; going on without the cache", text)

    # Mending

    def mend(self) -> None:
        """See to it that somebody is at work until there is nothing to mend."""
        if (before := self.mender) is None or not before.is_there():
            # It looks for itself here as soon as it begins.
            mender = self.mender = self._make_mender(self)
            if not mender.start():
                self.mender = before

    def is_mended(self) -> bool:
        """Tell whether somebody is at work.

        Where no thread can be begun, or none runs but the one that has a request (uWSGI without ``enable-threads``),
        it would otherwise stay open for ever.
        """
        self.mend()
        return self.mender is not None and time.monotonic() - self.mender.seen < NEGLECT

    def rest(self) -> None:
        """Have nobody work, until somebody finds something to mend."""
        mender, self.mender = self.mender, None
        _owing.discard(self)
        if mender is not None:
            mender.stop()

    def is_needed(self, mender: Mender) -> bool:
        """Tell a mender whether it is to go on; if not, another one can begin."""
        if self.mender is not mender:
            return False
        if not self._is_broken():
            # Whoever breaks it from now on looks for a mender afterwards, and finds none.
            self.mender = None
            _owing.discard(self)
            # Whoever has broken it before that has found this one.
            if self._is_broken() and self.mender is None:
                self.mender = mender
            if self.owes():
                _owing.add(self)
        return self.mender is mender

    def _is_broken(self) -> bool:
        return self._outage is not None or self.owes()

    @property
    def _outage(self) -> Outage | None:
        return self._outages.get("now")

    def asking(self) -> Flow[Outage | None]:
        """Ask what was not answered, or else about what is owed; return the outage that has ended."""
        outage = self._outage
        if question := self._question() if outage is None else outage.question:
            yield question
        return outage

    def _question(self) -> tuple[Command, ...]:
        for prefix, (owed, _) in list(self._owed.items()):
            for debt in owed.debts().values():
                return tuple(
                    Command("EXISTS", (TableKeys.of(prefix, table).generation,)) for table in debt.changes
                )
        return ()

    def settling(self, outage: Outage | None) -> Flow[None]:
        """Send what is owed, and end an outage after which a server has answered."""
        refused: BackendError | None = None
        for prefix, (owed, max_fences) in list(self._owed.items()):
            try:
                while debts := owed.debts():
                    yield from paying(owed, prefix, max_fences)
                    self._sent += len(debts)
            except BackendError as error:
                if error.unanswered:
                    raise
                # What is refused below one prefix, by an ACL say, may be taken below another.
                refused = error
        if refused is not None:
            raise refused
        if outage is not None and outage is self._outage:
            self._outages.pop("now", None)
            self.is_open = False
            took = time.monotonic() - outage.since
            log.warning("The cache server answers again, after %.1f s: %s", took, self._said())
        elif self._sent:
            log.info("The cache server answers: %s", self._said())

    def _said(self) -> str:
        sent, self._sent = self._sent, 0
        return f"{sent} owed invalidations have been sent"


def paying(owed: Owed, prefix: str, max_fences: int) -> Flow[flows.Registries]:
    """Send what is owed below a prefix, which is forgotten only then."""
    debts = owed.debts()
    releases = [(debt.unit, debt.changes) for debt in debts.values()]
    registries = yield from flows.release_all(prefix, releases, max_fences)
    owed.settle(debts)
    return registries


_registering = module_lock()
_circuits: weakref.WeakValueDictionary[int, Circuit] = weakref.WeakValueDictionary()
"""By the identity of their client, which they keep alive."""

_owing: set[Circuit] = set()
"""Those that owe something, which is to be sent also when nobody has their caches any more."""

if hasattr(os, "register_at_fork"):
    # The parent's are sent by the parent.
    os.register_at_fork(after_in_child=_owing.clear)


def circuit_of(client: Any, make_mender: Callable[[Circuit], Mender]) -> Circuit:
    """Return the circuit of a client, one for all who use it."""
    with _registering:
        circuit = _circuits.get(id(client))
        if circuit is None:
            circuit = _circuits[id(client)] = Circuit(client, make_mender)
        return circuit
