"""What every cache does to read, as flows: looking up, acquiring and filling, whether or not its server is there."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from os import urandom
from typing import Any, TypeVar

from . import conditions, flows, simple
from .circuit import Circuit, paying
from .conditions import ANY_ROW, Conjunction, Dependencies
from .errors import BackendError
from .flows import Flow
from .keys import stable_key
from .lookups import NOT_GIVEN, Lookup, Samples, milliseconds
from .near import MISS, Near, cannot_change
from .options import CacheOptions, seconds
from .protection import protected, unwrapped
from .serializers import DumpError, LoadError, Place, Serializer, dump, load
from .stamps import FORMAT, NONCE, StampKeys
from .units import Owed

T = TypeVar("T")

log: logging.Logger = logging.getLogger("cacheops")

MARGIN = 60_000
"""Milliseconds that bookkeeping lives on when whatever was filled under it has ended."""

IN_VAIN = 16
"""How many times in a row stamps of one shape have been missing when they are no longer waited for to be."""

KNOWN_DEPENDENCIES = 10_000
"""How many dependencies a cache remembers the key names of."""


class ReadingVerbs:
    """The state of a cache, and all that it does, without the doing."""

    def __init__(self, serializer: Any, options: CacheOptions | None, changed: Mapping[str, Any]) -> None:
        self.options: CacheOptions = replace(options, **changed) if options else CacheOptions(**changed)
        self.serializer: Serializer = protected(
            serializer,
            compression=self.options.compression,
            compress_above=self.options.compress_above,
            signing_key=self.options.signing_key,
        )
        self.registries: flows.Registries = {}
        """The schemes of each table as last seen by this process: a hint on which fields of a row matter."""
        self._seen: OrderedDict[bytes, float] = OrderedDict()
        """Heads, and when each was first seen."""
        self._stamps: OrderedDict[Dependencies, StampKeys] = OrderedDict()
        self.may_acquire_ahead: bool = True
        """Whether stamps may be acquired in the trip that asks for an entry: not where it goes to several servers."""
        self._in_vain: dict[Hashable, int] = {}
        """How many times in a row there were no stamps of a shape."""
        self.near: Near = Near.of(self.options)
        """The copies that this process has of what is asked for with ``near``."""
        self._warned: set[str] = set()
        self.circuit: Circuit
        """Whether the server is asked at the moment, and what it has not been told yet."""
        self._owed: Owed

    def join(self, circuit: Circuit) -> None:
        """Share with other caches whether the server is asked, and what is owed to it."""
        self.circuit, self._owed = circuit, circuit.owed_by(self.options)

    # Reading

    def looking_up(
        self, key: Any, dependencies: Samples, timeout: Any = NOT_GIVEN, near: Hashable = False
    ) -> Flow[Lookup]:
        """Return what is stored, or under which stamps an answer may be."""
        lookup = self.looking_near(key, dependencies, timeout, near)
        if not lookup.is_hit:
            yield from self.looking_farther(lookup)
        return lookup

    def looking_near(
        self, key: Any, dependencies: Samples, timeout: Any = NOT_GIVEN, near: Hashable = False
    ) -> Lookup:
        """Return what is to be looked up; it is found already if this process has a copy."""
        stamps = self._stamp_keys(Dependencies.coerce(dependencies))
        lookup = Lookup(self._entry_key(key, stamps), stamps, self._timeout(timeout))
        if near is not False:
            lookup.near = lookup.key if near is True else near
            value = self.near.get(lookup.near)
            if value is not MISS:
                lookup.value, lookup.is_hit = value, True
        return lookup

    def looking_farther(self, lookup: Lookup, told: Any = None) -> Flow[None]:
        """Ask the server for what this process has no copy of.

        ``told`` is what it has said already, if it was asked ahead (`may_ask_ahead`).
        """
        yield from self.unless_down(self._looking(lookup, told), None)

    def may_ask_ahead(self, lookup: Lookup) -> bool:
        """Tell whether `looking_farther` would begin with the question of a hit, which may then be asked before.

        Should another thread owe something from here on, that changes nothing: its write has not returned yet.
        """
        return (
            lookup.near is False
            and bool(lookup.stamps.keys)
            and not self.circuit.is_open
            and not self._owed.debts()
            and not self._is_in_vain(lookup.stamps.shape)
        )

    def is_served(self, lookup: Lookup, told: Any) -> bool:
        """Take what the server has said if it is a hit; return whether it is. All else is for `looking_farther`."""
        found = flows.found(lookup.stamps, told)
        if found.payload is None or found.head is None:
            return False
        try:
            lookup.value = load(self.serializer, found.payload, (lookup.key, found.head))
        except LoadError:
            return False
        lookup.head, lookup.is_hit = found.head, True
        lookup.known_since = self._seen.get(found.head) or self._see(found.head)
        if self._in_vain:
            self._in_vain.pop(lookup.stamps.shape, None)
        return True

    def looking_together(self, lookups: Sequence[Lookup]) -> Flow[None]:
        """Ask the server for several at once. Of all but the first, only what is there counts: no right to store.

        They all depend on tables, and this process keeps no copies of them.
        """
        yield from self.unless_down(self._looking_together(lookups), None)

    def filling(self, lookup: Lookup, value: Any) -> Flow[bool]:
        """Store an answer that was computed after its lookup; return whether it was."""
        if lookup.head is None:
            return False
        lifetime = milliseconds(lookup.timeout)
        try:
            if lookup.stamps.keys:
                payload = dump(self.serializer, value, (lookup.key, lookup.head))
                flow = flows.fill(lookup.key, lookup.head, payload, lifetime)
            else:
                payload = simple.encode(self.serializer, lookup.key, value)
                flow = simple.write({lookup.key: payload}, lifetime)
        except DumpError as error:
            self._warn_once(error)
            return False
        is_stored = (yield from self.unless_down(flow, MISS)) is not MISS
        if is_stored and lookup.ticket is not None:
            self._keep_filled(lookup, payload)
        return is_stored

    def _keep_filled(self, lookup: Lookup, payload: bytes) -> None:
        # What the payload becomes, not what was stored: JSON makes a list of a tuple.
        lifetime = float("inf") if lookup.timeout is None else lookup.timeout
        try:
            if lookup.stamps.keys:
                place: Place = (lookup.key, lookup.head or b"")
                self._keep(lookup, load(self.serializer, payload, place), payload, place, lifetime)
            else:
                value = simple.decode(self.serializer, lookup.key, payload)
                self._keep(lookup, value, payload[len(FORMAT) :], (lookup.key, FORMAT), lifetime)
        except LoadError as error:
            log.warning("Entry %s will count as a miss: %s", lookup.key, error)

    def _keep_found(self, lookup: Lookup, payload: bytes, place: Place) -> None:
        # Nobody knows how much of the entry's time is left: enough, if it is stored for longer than a copy lives.
        if lookup.timeout is None or lookup.timeout > self.near.max_age:
            self._keep(lookup, lookup.value, payload, place, self.near.max_age)

    def _keep(self, lookup: Lookup, value: Any, payload: bytes, place: Place, lifetime: float) -> None:
        loads = None
        if lookup.ticket is not None:
            if not cannot_change(value):
                loads, payload = unwrapped(self.serializer, payload, place)
            content = value if loads is None else payload
            self.near.keep(lookup.ticket, lookup.head or b"", content, loads, len(payload), lifetime)

    def _looking(self, lookup: Lookup, told: Any = None) -> Flow[None]:
        if lookup.near is not False:
            lookup.ticket = self.near.ticket(lookup.near, lookup.key, lookup.stamps)
        if not lookup.stamps.keys:
            yield from self._looking_for_a_value(lookup)
            return
        yield from self._settling()
        found, acquired = yield from self._fetching(lookup, told)
        yield from self._going_by(lookup, found, acquired)

    def _looking_together(self, lookups: Sequence[Lookup]) -> Flow[None]:
        yield from self._settling()
        first, *others = yield from flows.fetch_all((lookup.key, lookup.stamps) for lookup in lookups)
        for lookup, found in zip(lookups[1:], others, strict=True):
            self._take(lookup, found)
            lookup.head = None
        yield from self._going_by(lookups[0], first)

    def _going_by(
        self, lookup: Lookup, found: flows.Found, acquired: flows.Acquired | None = None
    ) -> Flow[None]:
        is_there = self._take(lookup, found)
        if not is_there and (lookup.head is None or self._is_longer_than_usual(lookup.timeout)):
            # The stamps may be there, and still end sooner than an answer that is to be kept for long.
            self._take_over(
                lookup, acquired or (yield from flows.acquire(lookup.stamps, *self._terms(lookup)))
            )
        if lookup.head is not None:
            lookup.known_since = self._seen.get(lookup.head) or self._see(lookup.head)

    def _take(self, lookup: Lookup, found: flows.Found) -> bool:
        """Take what was found for a lookup; return whether there was a payload, which may not load."""
        lookup.head, lookup.outdated = found.head, found.outdated
        if found.is_garbage:
            log.warning("What stands under %s is no entry and counts as a miss", lookup.key)
        if found.payload is None or found.head is None:
            return False
        try:
            place = (lookup.key, found.head)
            lookup.value = load(self.serializer, found.payload, place)
            lookup.is_hit = True
            if lookup.ticket is not None:
                self._keep_found(lookup, found.payload, place)
        except LoadError as error:
            # Garbage, another version's classes, a changed serializer: whatever it is, it is a miss.
            log.warning("Entry %s counts as a miss: %s", lookup.key, error)
        return True

    def _see(self, head: bytes) -> float:
        if len(self._seen) >= KNOWN_DEPENDENCIES:
            self._seen.popitem(last=False)
        # Two threads may do so at once: the later moment claims less.
        self._seen[head] = moment = time.monotonic()
        return moment

    def _looking_for_a_value(self, lookup: Lookup) -> Flow[None]:
        # What depends on nothing is a value of the simple cache, and may be stored at any time.
        (entry,) = yield from simple.read([lookup.key])
        lookup.head = lookup.stamps.head((), b"")
        if entry is not None:
            lookup.value, lookup.is_hit = self._decoded(lookup.key, entry)
            if lookup.is_hit:
                self._keep_found(lookup, entry[len(FORMAT) :], (lookup.key, FORMAT))

    def _decoded(self, name: str, entry: bytes) -> tuple[Any, bool]:
        try:
            return simple.decode(self.serializer, name, entry), True
        except LoadError as error:
            log.warning("Entry %s counts as a miss: %s", name, error)
            return None, False

    def _is_in_vain(self, shape: Hashable) -> bool:
        return bool(self._in_vain) and self._in_vain.get(shape, 0) >= IN_VAIN and self.may_acquire_ahead

    def _fetching(self, lookup: Lookup, told: Any) -> Flow[tuple[flows.Found, flows.Acquired | None]]:
        """Ask for the entry; where there has been nothing for long, acquire its stamps in the same round trip.

        That is when everybody asks for what nobody has asked for lately: a crawler, or a cache that was emptied. Who
        is wrong has had stamps made, or kept, without need.
        """
        stamps, shape = lookup.stamps, lookup.stamps.shape
        acquired: flows.Acquired | None = None
        in_vain = self._in_vain.get(shape, 0) if self._in_vain else 0
        if told is not None:
            found = flows.found(stamps, told)
        elif not self._is_in_vain(shape):
            found = yield from flows.fetch(lookup.key, stamps)
        else:
            # Should it fail where to read would not, the next one only reads.
            self._in_vain.pop(shape, None)
            found, acquired = yield from flows.fetch_and_acquire(lookup.key, stamps, *self._terms(lookup))
        if found.head is None:
            if len(self._in_vain) >= KNOWN_DEPENDENCIES:
                self._in_vain.clear()
            self._in_vain[shape] = in_vain + 1
        elif in_vain:
            self._in_vain.pop(shape, None)
        return found, acquired

    def _terms(self, lookup: Lookup) -> tuple[int, int, bytes]:
        # A stamp outlives every entry that is filled right after it was acquired.
        usual = self.options.timeout
        longest = None if None in (lookup.timeout, usual) else max(lookup.timeout or 0, usual or 0)
        lifetime = 0 if longest is None else 2 * milliseconds(longest) + MARGIN
        return lifetime, self.options.max_schemes, urandom(NONCE)

    def _take_over(self, lookup: Lookup, acquired: flows.Acquired) -> None:
        lookup.head = acquired.head
        if acquired.garbage:
            log.warning("What stood under %s was none of ours and is gone", ", ".join(acquired.garbage))
        if acquired.full:
            self._learn(acquired.full)
            self._stamps.clear()
            log.info(
                "No more than %s schemes fit; any further ones count as any row of %s",
                self.options.max_schemes,
                [*acquired.full],
            )
        elif acquired.head is not None:
            self._learn(self._registered(lookup.stamps))

    def _registered(self, stamps: StampKeys) -> flows.Registries:
        """Return the registries that are known, with the schemes of these stamps, which are in them by now."""
        return {
            keys.table: self.registries[keys.table]
            | {flows.parse_scheme(conditions.scheme(c)) for c in found}
            for keys, found in stamps.tables
            if keys.table in self.registries
        }

    def _is_longer_than_usual(self, timeout: float | None) -> bool:
        usual = self.options.timeout
        return usual is not None and (timeout is None or timeout > usual)

    def _stamp_keys(self, dependencies: Dependencies) -> StampKeys:
        stamps = self._stamps.get(dependencies)
        if stamps is None:
            stamps = StampKeys.of(self.options.prefix, dependencies.coarsen(self._is_too_fine))
            self._stamps[dependencies] = stamps
            if len(self._stamps) > KNOWN_DEPENDENCIES:
                self._stamps.popitem(last=False)
        return stamps

    def _is_too_fine(self, table: str, conjunctions: tuple[Conjunction, ...]) -> bool:
        registry = self.registries.get(table, frozenset())
        return len(conjunctions) > self.options.max_conjunctions or (
            len(registry) >= self.options.max_schemes
            and any(
                flows.parse_scheme(conditions.scheme(c)) not in registry for c in conjunctions if c != ANY_ROW
            )
        )

    def _learn(self, registries: flows.Registries) -> None:
        for table, schemes in registries.items():
            known = self.registries.get(table, frozenset())
            if schemes != known:
                self.registries[table] = schemes
                if max(len(schemes), len(known)) >= self.options.max_schemes:
                    # Which conditions are too fine is another question now.
                    self._stamps.clear()

    # The server is away

    def unless_down(self, flow: Flow[Any], otherwise: Any) -> Flow[Any]:
        """Return a flow's result, or something else where the server is away and we are to go on without."""
        if self.circuit.is_open and self._is_cut_off():
            return otherwise
        try:
            return (yield from flow)
        except BackendError as error:
            self.go_without(error)
            return otherwise

    def go_without(self, error: BackendError) -> None:
        """Note that the server has failed, if we are to go on without; else raise the error."""
        if not self.options.degrade:
            raise error
        self.circuit.failed(error)

    def _is_cut_off(self) -> bool:
        """Tell whether the server is not to be asked."""
        # Those who mend may be gone: with the process that has forked, or with their event loop.
        return self.circuit.is_open and self.options.degrade and self.circuit.is_mended()

    def insisting(self, flow: Flow[T]) -> Flow[T]:
        """Return the result of what can not go without the server, and what others may learn from its failing."""
        try:
            return (yield from flow)
        except BackendError as error:
            if self.options.degrade:
                self.circuit.failed(error)
            raise

    def _settling(self) -> Flow[None]:
        # What could not be dropped is dropped before this process trusts the cache again.
        if self._owed.debts():
            self._learn((yield from paying(self._owed, self.options.prefix, self.options.max_fences)))

    def _settling_before(self, flow: Flow[T]) -> Flow[T]:
        # A process that only writes never asks, and others would be served what it could not drop.
        yield from self._settling()
        return (yield from flow)

    # Names and times

    def key_of(self, key: Any, dependencies: Samples) -> str:
        """Return the name under which an answer is stored."""
        return self._entry_key(key, self._stamp_keys(Dependencies.coerce(dependencies)))

    def stamps_of(self, dependencies: Samples) -> StampKeys:
        """Return the names of the stamps that an answer is stored under."""
        return self._stamp_keys(Dependencies.coerce(dependencies))

    def _entry_key(self, key: Any, stamps: StampKeys) -> str:
        # The digest covers the stamps' names, so that the stamps of one set of dependencies are never
        # compared with those that an entry was stored under for another.
        told = b"b" + key if type(key) is bytes else b"k" + stable_key(key)
        return f"{self.options.prefix}e:{blake2b(stamps.digest + told, digest_size=16).hexdigest()}"

    def _timeout(self, timeout: Any) -> float | None:
        return self.options.timeout if timeout is NOT_GIVEN else seconds(timeout, "timeout")

    def _warn_once(self, error: DumpError) -> None:
        text = str(error)
        if text not in self._warned and len(self._warned) < KNOWN_DEPENDENCIES:
            self._warned.add(text)
            log.warning("A result is not stored: %s", text)
