"""The near cache: copies of entries in this process's memory, so that a hit asks nobody.

It is off unless a caller says ``near=``. What a copy holds is what the serializer loads, after signatures were
verified and compression undone, so that each hit is a new object; or the value itself, if its type says that
nobody can change it.

**The bound.** A read that starts after a write has returned may be given a copy from before the write if the
write was another process's and its message has not arrived yet; never if the write was this process's. No copy
is served for longer than ``near_max_age`` after the moment at which the server has last said that it is right,
whatever happens to messages. (The moment is that *before* the server was asked, on this process's own clock.)

**Why it holds, for writes of others.** `fence` and `release` publish the keys whose stamps they have put an end
to, in the same step on the server. A copy is made of what an ``MGET`` brought, or of what was stored under stamps
that an ``MGET`` or `acquire` brought; call that the question. It is kept only if the subscription was there before
the question was asked and has been ever since.

- If the question came to the server after the fence, the protocol answers it: the old entry is not served.
- If it came before the fence, then so did the subscription, and the message of the fence is on its way to us. When
  it arrives the copy goes. When it has overtaken the copy (a slow thread holds its answer and has not kept it yet),
  the table has another *epoch* than when the question was asked, and the copy is refused.
- If the connection is lost, messages may be. All copies go, and none is made until there is another one.
- If it is lost and nobody tells us (a black hole in the network, a cluster's bus that drops messages, a primary that
  has been replaced), copies end at their age, and the server is asked.

**Why it holds, for writes of this process.** After each fence, and after each release, the writing thread itself
drops the copies under every cache of its prefix, before it goes on: the first time before COMMIT, the second time
before the write returns. What a thread brings that had asked before is refused by its epoch. Between the two, the
fence keeps the server from calling any old entry right; should the fence be lost, the second time is after COMMIT.

**The races, as stories.**

*The slow keeper.* R asks and is given the row of category 1. W fences, and its message finds no copy to drop. R
keeps its copy, which nobody will ever drop. Here the message has begun a new epoch of the table, and R's is over.

*The deaf listener.* The server ends our connection; W fences; we connect again. The message went to nobody. Here all
copies went when the connection was lost, and those who had asked before the new one was there keep nothing.

*The half-open line.* A firewall forgets our connection and swallows what the server sends. We ask for a sign of life
every few seconds, and turn ourselves off if there is none; until then copies live for their age and no longer.

*The forked worker.* A server process with warm copies forks. Its threads stay behind, so nobody listens in the child,
and a lock may be held for ever by a thread that is not there. The child begins with no copies and a new lock.

*The new registry.* R keeps a copy by category. The server evicts the registry, and whoever asks next, by the id, makes
another one, and a new generation with it. W's fence tells which of its row's stamps are no more: the one by id, as
far as that registry knows. Here it tells the generation too. R's copy was made under another one, and goes.

*The lost fence.* W fences, the fence is evicted, R asks, fills with the old row and keeps it, W commits. Here W's
release finds a stamp in its fence's place, drops it and publishes it; in W's own process W drops the copy.

**For adapters.** ``cache.fetch(key, dependencies, near=True)`` finds copies by the entry's own key. Who can tell a
question from others for less (a model and a primary key, say) passes any other hashable that is no string,
``near=own``, and may then ask ``cache.near.get(own)`` first, which returns the value or `MISS`, and takes about as
long as looking into a dict and loading the value. Everything that can make the answer another one has to be in
``own``, types included (``1 == True``), as in a key. `get` knows of no open transaction: who has written in one must
not ask.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from time import monotonic
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from . import near_writes
from .conditions import Row, conjunction_text
from .options import CacheOptions
from .stamps import StampKeys, TableKeys

__all__ = ["MISS", "Near", "Ticket"]

MISS: Any = object()
"""Stands for a value that there is not, where None is one."""

MOST_KEYS = 200
"""Stamps that a write of this process drops one by one; of more, all of the table."""

MOST_TABLES = 10_000
"""Tables whose epochs are known; with more, all begins anew."""

COPY_BYTES = 600
"""What a copy takes beside its payload, about."""

SHELVES = 64
"""Entries that are dropped by their own names have an epoch each so many of them, as a table has one."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """The right to keep a copy of an answer that was asked for after this was given out."""

    key: Hashable
    name: str
    """The entry's own key."""
    stamps: StampKeys
    started: float
    epochs: dict[Hashable, int]
    """Those of the cache, by which it is known that nothing was lost in between."""
    seen: tuple[int, ...]
    """What they were for the entry and its tables."""


class _Copy:
    __slots__ = ("content", "is_recent", "keys", "loads", "size", "until")

    def __init__(self, content: Any, loads: Any, until: float, keys: tuple[str, ...], size: int) -> None:
        self.content = content
        self.loads = loads
        """What makes a value of the content; None if that is one."""
        self.until = until
        self.keys = keys
        """What it is dropped with."""
        self.size = size
        self.is_recent = False


class Near:
    """The copies of one cache, at most so many and of so many bytes, the least used of which make room.

    Hits take no lock and change nothing but a mark; they see a copy or none. Whoever keeps or drops takes a lock.
    """

    def __init__(self, prefix: str, size: int, most_bytes: int, max_age: float) -> None:
        self.prefix: str = prefix
        self.max_age: float = max_age
        self._most, self._most_bytes = size, most_bytes
        self.subscribe: Callable[[Near], None] | None = None
        """Asks for messages, if nobody has yet."""
        self.reset()
        near_writes.register(self)

    @classmethod
    def of(cls, options: CacheOptions) -> Near:
        """Return a near cache as these options have it."""
        return cls(options.prefix, options.near_size, options.near_bytes, options.near_max_age)

    def reset(self) -> None:
        """Begin without copies and without a subscription, as a new process does."""
        # Reentrant: an object that is collected while we hold it may write something of its own.
        self._lock = threading.RLock()
        self.subscription: Any = None
        """Where the messages come from."""
        self.is_open: bool = False
        self._clear()

    def _clear(self) -> None:
        self._copies: OrderedDict[Hashable, _Copy] = OrderedDict()
        self._index: dict[str, set[Hashable]] = {}
        self._fields: dict[str, set[tuple[str, ...]]] = {}
        self._epochs: dict[Hashable, int] = {}
        self._generations: dict[str, bytes] = {}
        """Under which all copies have been made that depend on a table."""
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._copies)

    # Reading

    def get(self, key: Hashable, default: Any = MISS) -> Any:
        """Return the value of a copy, one that nobody else has or can change; the default if there is none."""
        copy = self._copies.get(key)
        if copy is None or copy.until < monotonic():
            return default
        copy.is_recent = True
        loads = copy.loads
        if loads is None:
            return copy.content
        try:
            return loads(copy.content)
        except Exception:
            # It has been loaded before. Whatever has changed since, the slow way will tell.
            return default

    def ticket(self, key: Hashable, name: str, stamps: StampKeys) -> Ticket | None:
        """Return the right to keep an answer that is asked for from now on; None while nobody would tell us
        that it is no longer right."""
        if not self.is_open:
            if self.subscribe is not None:
                self.subscribe(self)
            return None
        started, epochs = monotonic(), self._epochs
        if len(epochs) > MOST_TABLES:
            self.clear()
        return Ticket(key, name, stamps, started, epochs, _seen(epochs, name, stamps))

    def keep(
        self,
        ticket: Ticket,
        head: bytes,
        content: Any,
        loads: Callable[[bytes], Any] | None,
        size: int,
        lifetime: float,
    ) -> None:
        """Keep a copy of an answer for at most so many seconds: a value that nobody can change, or what ``loads``
        makes a new one of. The entry has this head."""
        until = min(ticket.started + self.max_age, monotonic() + lifetime)
        size += COPY_BYTES
        if until < monotonic() or size * 8 > self._most_bytes:
            return
        keys = ticket.stamps.keys if ticket.key == ticket.name else (*ticket.stamps.keys, ticket.name)
        copy = _Copy(content, loads, until, keys, size)
        with self._lock:
            if ticket.epochs is not self._epochs or ticket.seen != _seen(
                ticket.epochs, ticket.name, ticket.stamps
            ):
                return
            self._drop(ticket.key)
            for (table, _), found in zip(ticket.stamps.tables, ticket.stamps.generations(head), strict=True):
                if self._generations.get(table.generation) != found:
                    for key in tuple(self._index.get(table.generation, ())):
                        self._drop(key)
                    self._generations[table.generation] = found
            for key in keys:
                self._index.setdefault(key, set()).add(ticket.key)
            for table, conjunctions in ticket.stamps.tables:
                known = self._fields.setdefault(table.generation, set())
                known.update(tuple(field for field, _ in found) for found in conjunctions)
            self._bytes += size
            self._copies[ticket.key] = copy
            self._make_room()

    def _make_room(self) -> None:
        # Each copy that was used since it was last looked at here gets a second chance (CLOCK), which costs hits
        # less than keeping them in order. Those that have ended get none.
        now = monotonic()
        while len(self._copies) > self._most or self._bytes > self._most_bytes:
            key, copy = next(iter(self._copies.items()))
            if copy.is_recent and copy.until > now:
                copy.is_recent = False
                self._copies.move_to_end(key)
            else:
                self._drop(key)

    # Dropping

    def hear(self, message: bytes) -> None:
        """Drop what a message of `fence`, `release`, `sweep` or `forget` says is no longer right."""
        first, *keys = message.decode("utf-8", "replace").split("\n")
        kind = first.removeprefix(self.prefix) if first.startswith(self.prefix) else ""
        if kind.startswith("g:{"):
            born, *keys = keys or [""]
            with self._lock:
                is_ours = born == f"={self._generations.get(first, b'').hex()}"
                self.drop_stamps(first, keys if is_ours else None)
        elif kind.startswith("e:") and kind != "e:":
            self.drop_entry(first)
        else:
            # Everything, or what another version has to say.
            self.clear()

    def drop_stamps(self, generation: str, keys: Iterable[str] | None) -> None:
        """Drop what depends on these stamps of a table, None for all of it."""
        if generation not in self._epochs:
            # Nobody has ever asked for anything that depends on it.
            return
        with self._lock:
            self._epochs[generation] = self._epochs.get(generation, 0) + 1
            for key in (generation,) if keys is None else keys:
                for found in tuple(self._index.get(key, ())):
                    self._drop(found)

    def drop_rows(self, table: TableKeys, rows: Iterable[Row] | None) -> None:
        """Drop what depends on these rows of a table, None for all of it."""
        if table.generation in self._epochs:
            # In one go: a copy that is kept between naming the stamps and dropping them might have another one.
            with self._lock:
                self.drop_stamps(table.generation, None if rows is None else self._keys_of(table, rows))

    def _keys_of(self, table: TableKeys, rows: Iterable[Row]) -> set[str] | None:
        keys: set[str] = set()
        known = [(fields, set(fields)) for fields in self._fields.get(table.generation, ())]
        for row in rows:
            for fields, names in known:
                if not row.keys() >= names or len(keys) >= MOST_KEYS:
                    return None
                keys.add(
                    table.conjunctions + conjunction_text(tuple((field, row[field]) for field in fields))
                )
        return keys

    def drop_entry(self, name: str) -> None:
        """Drop the copies of one entry."""
        if not self._epochs:
            return
        with self._lock:
            shelf = hash(name) % SHELVES
            self._epochs[shelf] = self._epochs.get(shelf, 0) + 1
            for key in (name, *self._index.get(name, ())):
                self._drop(key)

    def _drop(self, key: Hashable) -> None:
        copy = self._copies.pop(key, None)
        if copy is None:
            return
        self._bytes -= copy.size
        for name in copy.keys:
            found = self._index.get(name)
            if found is not None:
                found.discard(key)
                if not found:
                    del self._index[name]

    def clear(self) -> None:
        """Drop all copies, and refuse those that have been asked for."""
        with self._lock:
            self._clear()

    # Whether somebody tells us

    def open(self) -> None:
        """Keep copies from now on, of what is asked from now on: messages come."""
        with self._lock:
            self._clear()
            self.is_open = True

    def close(self) -> None:
        """Drop all copies and keep none: messages may have been lost."""
        with self._lock:
            self.is_open = False
            self._clear()


def _seen(epochs: dict[Hashable, int], name: str, stamps: StampKeys) -> tuple[int, ...]:
    return (
        epochs.setdefault(hash(name) % SHELVES, 0),
        *(epochs.setdefault(table.generation, 0) for table, _ in stamps.tables),
    )


_CONSTANTS = frozenset(
    {str, bytes, int, float, complex, bool, type(None), Decimal, date, timedelta, UUID, timezone, ZoneInfo}
)
_ZONES = frozenset({type(None), timezone, ZoneInfo})


def cannot_change(value: Any) -> bool:
    """Return whether nobody can change this value, so that all may have the same one.

    By its very type: what is derived from it may have attributes.
    """
    kind = type(value)
    if kind in _CONSTANTS:
        return True
    if kind is tuple or kind is frozenset:
        return all(map(cannot_change, value))
    return (kind is datetime or kind is time) and type(value.tzinfo) in _ZONES
