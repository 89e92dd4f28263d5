"""The protocol: a read that starts after a write has returned to its writer never sees older data.

Every function here is a *flow*: a generator that yields commands, gets their replies sent in, and returns
its result. Flows never touch a socket; `drivers` run them. This page is the whole protocol, and its proof.

**The keys.** Below the prefix stand the entry ``e:<digest>`` and, for each table, its generation
``g:{table}``, the registry of schemes ``s:{table}``, the units that are committing ``f:{table}`` and one
stamp per conjunction ``c:{table}:<conjunction>``. A generation is its birth (the server's clock, and a few
random bytes) and the *run* that it was born in, which is one life of one server (`runs`); a stamp is the
generation that it was born under and then its own birth. An entry begins with the generations and stamps that
it was computed under, each generation once: its *head*. A *fence* is a sorted set of units of work in place of a
stamp or generation; ``MGET`` shows it as nothing.

**Reading** (`fetch`, `acquire`, `fill`). One ``MGET`` brings the entry and its stamps. The entry is served
iff its head is what was just read, byte for byte, each generation carries the run of the server that has
answered (of the node, in a cluster), and each stamp begins with its table's generation. After
a miss the stamps are acquired *first*, then the database is asked, then the entry is stored under the
stamps that were acquired. Whoever finds a fence asks the database and stores nothing.

**Writing** (`fence`, COMMIT, `release`). Before COMMIT, each stamp that a changed row touches, with its
old or its new values, gives way to a fence, whether or not a stamp was there. After COMMIT or rollback the
unit leaves its fences, and drops whatever stamp it finds in a fence's place.

**Why it holds.** Take a read that starts after a write has returned, that is, after its release, and
suppose that it is served an older entry. The entry's stamps stand, so they stood when it was filled, and
its rows were read after they had been acquired.

- If a touched stamp was acquired before the fence, the fence has replaced it. Stamps are never born twice
  (their birth is in them), so the entry's head can not be read again.
- If it was acquired between fence and release, the fence was not there: it had expired, or was evicted,
  for otherwise `acquire` says "fenced". Then release found a stamp in the fence's place and dropped it.
- If it was acquired after the release, the database was asked after COMMIT and gave the new rows.
- If there was no stamp to fence because nobody had asked by this scheme yet, the registry did not have the
  scheme. While the unit stands in ``f:{table}``, acquire refuses new schemes; should that key be lost,
  release looks at the registry as it is by then and drops the stamps of the newcomer too.
- If the registry is lost, fence and release drop the generation, and with it all stamps; acquire makes
  registry and generation together, never one under the other's old life.

**The races, as stories.**

*The slow reader.* R misses and selects a product of category 1. W moves it to category 2 and commits. R
wakes up and stores its row. Everywhere else this row now stays until its timeout. Here R acquired its stamp
before it selected, W's fence has replaced that stamp, and what R stores is dead on arrival.

*The early dropper.* W drops the entry, then commits. In between R misses, reads the old row and stores it.
Here R finds the fence, and stores nothing.

*The late dropper.* W commits, then drops. In between R is served the old row. W has not returned yet, so
this is allowed; but it may have told others (a queue, a colleague). Here the fence is up before COMMIT, so
whoever learns of the new row in any way gets it.

*Two writers.* V and W both hold the fence of category 1. V releases. The fence stands, for W may not have
committed yet, until W's release too.

*The dead writer.* W is killed after its fence, before or after COMMIT. Nobody fills until the fence
expires; then there is no stamp, a reader acquires a new one, and reads what the database really has. Each
unit has a deadline of its own in the fence, so that others who come and go do not keep the dead one in it.

*The forgetful server.* Redis evicts any key, at any time. A lost entry or stamp is a miss. A lost generation
is a new one, under which no old stamp is valid. A lost registry takes the generation with it. (If it is lost
between fence and release, nobody knows any more where the fences stand: they end at their deadline.)

*The clock that was set back.* A stamp is born, fenced and released; the server's clock goes back; at the very same
microsecond the next stamp is born. The bytes that its reader has drawn tell it from the first, whose entries
would be served again otherwise.

**The servers, as stories.** What has been said so far takes it that a server only forgets. But one may come
back that knows the keys as they once were, stamps and entries and all, and has not heard of a fence since.

*The old snapshot.* R fills, the server writes its snapshot, W fences, commits and releases, the server is killed
and starts from its snapshot. There they stand again, the entry and the stamps in its head, all valid. But they
carry the run of the first server. The restart has ended all connections, so whoever reads has asked over a new
one whose answers these are, and takes a generation of another run for none. `acquire` makes a new one.

*The late replica.* The primary dies before its replica has heard of W's fence and release, and the replica is
promoted. It is another process, and by its promotion it has another replication id too: another run. Who still
speaks with the old primary is cut off when that dies, or by Sentinel, which ends the connections of a server that
it makes a replica; in a cluster it is sent on (MOVED). A replica was never asked before.

*The fence that did not come along.* W has fenced on the primary, which dies. On its successor there is no fence:
R acquires there, reads the old row and stores it. W commits, then releases on the successor, over the registry as
it is there, finds R's stamp in the place of its fence and drops it. This is the lost fence once more.

*The entry that came too late.* R acquires on the primary, asks the database, and stores on the successor. Its head
carries the first run. Nobody will serve it, also not if the stamps have come along.

*The table that moved.* A slot of a cluster goes to another node, and takes its generations along. There they are of
another run: misses, then new ones. A fence that stays behind is one that was lost.

*The old registry.* `fence` and `release` do not ask for runs, and go by the registry that has come along. It may
lack a scheme whose stamps have come along: they are of a run that is over. Who acquires by that scheme adds it, and
not while a unit stands in ``f:{table}``.

**What is not covered.** A double fault: a fence that was lost, to eviction or to a failover, *and* a release that
never comes, as its writer was killed in between. A partitioned primary that goes on answering its clients, while
another one has been made: two servers, one of which does not hear of the other's writes (``min-replicas-to-write``
lets its writers fail before their COMMIT), until somebody else is asked, a second later (`runs`). A server that becomes
a replica and is promoted again, or is replaced behind a proxy, under a connection that stays open: it is found out
within a second or so, when the run is asked for again, but not before. A machine that is set back to an earlier image
of its memory, with the same processes in it.

Nothing here compares clocks of different machines, and nothing relies on two tables changing at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from .conditions import Row, Rows, conjunction_text, scheme
from .scripts import ACQUIRE, DROP, FENCE, FORGET, RELEASE, Script
from .stamps import FORMAT, GENERATION, RUN_LENGTH, StampKeys, TableKeys

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Command:
    """One command to the server, of one slot of a cluster unless it is an ``MGET``."""

    name: str
    args: tuple[Any, ...]
    tells_run: bool = False
    """Whether the reply is to be a pair: the run of the server that has answered, then what it has answered. Where
    several have, the first is a list, of the run for each key."""


RUN: Any = object()
"""Stands among the arguments of a script for the run of the server that it is sent to."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a script, all of whose keys live in one slot."""

    script: Script
    keys: tuple[str | bytes, ...]
    args: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Work:
    """The caller's own function, run between commands; where the flow runs asynchronously, also awaited."""

    function: Callable[[], Any]


Request = Command | Call
Flow = Generator[Any, Any, T]
"""Yields a request or `Work` for its reply, or a tuple of requests, sent in one round trip, for a list."""


class Found(NamedTuple):
    """What reading an entry brought."""

    payload: bytes | None
    """What may be served."""

    head: bytes | None
    """The head to store an answer under that is computed from now on, if every stamp is there."""

    outdated: bytes | None = None
    """An entry that may not be served any more, or only to who has agreed to outdated answers."""

    is_garbage: bool = False
    """Whether under the entry's key stands what is no entry of this format."""


@dataclass(frozen=True, slots=True)
class Acquired:
    """The head to store an answer under, or None and why there is none."""

    head: bytes | None
    full: Registries
    """The registries that our schemes do not fit into; empty if a fence was the reason."""
    garbage: tuple[str, ...]
    """Keys that held what nobody of us puts there, and are free again."""


def fetch(key: str, stamps: StampKeys) -> Flow[Found]:
    """Return the entry's payload if every stamp that it was computed under still stands."""
    return found(stamps, (yield reading(key, stamps)))


def fetch_all(wanted: Iterable[tuple[str, StampKeys]]) -> Flow[list[Found]]:
    """Return what `fetch` returns for each entry, in one round trip."""
    wanted = list(wanted)
    replies = yield tuple(reading(key, stamps) for key, stamps in wanted)
    return [found(stamps, told) for (_, stamps), told in zip(wanted, replies, strict=True)]


def acquire(stamps: StampKeys, lifetime: int, max_schemes: int, nonce: bytes) -> Flow[Acquired]:
    """Return the head to store an answer under that is computed from now on.

    The bookkeeping will live for ``lifetime`` milliseconds at least, 0 for ever. ``nonce`` are `NONCE` bytes
    that nobody has passed before.
    """
    calls = _acquiring(stamps, lifetime, max_schemes, nonce)
    return _acquired(stamps, (yield calls) if calls else [])


def fetch_and_acquire(
    key: str, stamps: StampKeys, lifetime: int, max_schemes: int, nonce: bytes
) -> Flow[tuple[Found, Acquired]]:
    """Do both, one after the other, in one round trip: where there will hardly be an entry."""
    told, *replies = yield (reading(key, stamps), *_acquiring(stamps, lifetime, max_schemes, nonce))
    return found(stamps, told), _acquired(stamps, replies)


def reading(key: str, stamps: StampKeys) -> Command:
    """Return the question of a hit: for an entry, and what it was stored under."""
    return Command("MGET", (key, *stamps.keys), tells_run=True)


def found(stamps: StampKeys, told: tuple[Any, Any]) -> Found:
    """Return what the reply to that question brought."""
    run, (entry, *stood) = told
    head = stamps.head(stood, run if isinstance(run, bytes) else run[1:])
    if entry is None:
        return Found(None, head)
    if not entry.startswith(FORMAT) or len(entry) < stamps.head_length:
        return Found(None, head, is_garbage=True)
    if head is not None and entry.startswith(head):
        return Found(entry[stamps.head_length :], head)
    return Found(None, head, outdated=entry)


def _acquiring(stamps: StampKeys, lifetime: int, max_schemes: int, nonce: bytes) -> tuple[Call, ...]:
    return tuple(
        Call(
            ACQUIRE,
            (
                *(table.generation, table.registry, table.committing),
                *(table.conjunctions + conjunction_text(c) for c in conjunctions),
            ),
            (lifetime, max_schemes, nonce, RUN, *map(scheme, conjunctions)),
        )
        for table, conjunctions in stamps.tables
    )


def _acquired(stamps: StampKeys, replies: Iterable[Any]) -> Acquired:
    found: list[bytes] = []
    runs: list[bytes] = []
    full: Registries = {}
    garbage: list[str] = []
    is_ours = True
    for (table, _), (status, values, discarded) in zip(stamps.tables, replies, strict=True):
        is_ours = is_ours and status == b"ok"
        if status == b"full":
            full[table.table] = _registry(values)
        found += values
        # The script gives no generation of another run than the one that it was told.
        runs += [value[GENERATION - RUN_LENGTH : GENERATION] for value in values]
        garbage += [_text(key) for key in discarded]
    return Acquired(stamps.head(found, runs) if is_ours else None, full, tuple(garbage))


def fill(key: str, head: bytes, payload: bytes, lifetime: int) -> Flow[None]:
    """Store an answer under the head that was acquired before it was computed, for so many milliseconds."""
    yield Command("SET", (key, head + payload, *(("PX", lifetime) if lifetime else ())))


def retire(key: str, old: str, entry: bytes, lifetime: int) -> Flow[None]:
    """Move an entry that has been invalidated to where it may still be had for so many milliseconds.

    The entry goes first: who dies in between leaves nothing, and the time does not begin again.
    """
    yield (Command("DEL", (key,)), Command("SET", (old, entry, "PX", lifetime)))


Changes = Mapping[str, Iterable[Row] | None]
"""Tables that were written, with the rows concerned (old values and new ones), or None for all of them."""

Registries = dict[str, frozenset[tuple[str, ...]]]
"""The schemes that are registered for each table, as tuples of quoted field names."""


def fence(prefix: str, unit: str, changes: Changes, lifetime: int, max_fences: int) -> Flow[Registries]:
    """Before COMMIT: let nobody fill what these changes touch, for at most so many milliseconds.

    Returns the registry of each table, from which the writer learns which fields matter.
    """
    return (yield from _over_tables(FENCE, prefix, unit, changes, (lifetime,), max_fences))


def release(prefix: str, unit: str, changes: Changes, max_fences: int) -> Flow[Registries]:
    """After COMMIT or rollback: leave the fences, and drop every stamp that stands in the place of one.

    Without a fence before it, this invalidates what has been committed already.
    """
    return (yield from _over_tables(RELEASE, prefix, unit, changes, (), max_fences))


def release_all(prefix: str, releases: Iterable[tuple[str, Changes]], max_fences: int) -> Flow[Registries]:
    """Release what several units could not release, each under its own name, in one round trip."""
    tables: list[str] = []
    calls: list[Call] = []
    for unit, changes in releases:
        tables += changes
        calls += [
            _call(RELEASE, TableKeys.of(prefix, table), unit, rows, (), max_fences)
            for table, rows in changes.items()
        ]
    replies = (yield tuple(calls)) if calls else []
    return {table: _registry(schemes) for table, schemes in zip(tables, replies, strict=True)}


def _over_tables(
    script: Script, prefix: str, unit: str, changes: Changes, more: tuple[Any, ...], max_fences: int
) -> Flow[Registries]:
    calls = tuple(
        _call(script, TableKeys.of(prefix, table), unit, rows, more, max_fences)
        for table, rows in changes.items()
    )
    replies = (yield calls) if calls else []
    return {table: _registry(schemes) for table, schemes in zip(changes, replies, strict=True)}


def _call(
    script: Script,
    keys: TableKeys,
    unit: str,
    rows: Iterable[Row] | None,
    more: tuple[Any, ...],
    max_fences: int,
) -> Call:
    if rows is not None and not isinstance(rows, Rows):
        rows = Rows(rows)
    return Call(
        script,
        (keys.generation, keys.registry, keys.committing),
        (unit, keys.conjunctions, max_fences, "" if rows is None else rows.text, *more),
    )


def parse_scheme(text: str) -> tuple[str, ...]:
    """Return the quoted field names of a scheme; the empty scheme has none."""
    return tuple(text.split("&")) if text else ()


def _registry(schemes: Iterable[bytes]) -> frozenset[tuple[str, ...]]:
    return _parsed(tuple(schemes))


@lru_cache(maxsize=1024)
def _parsed(schemes: tuple[bytes, ...]) -> frozenset[tuple[str, ...]]:
    # Every write is told the registries of its tables, which hardly ever change.
    return frozenset(parse_scheme(_text(scheme)) for scheme in schemes)


def _text(reply: bytes) -> str:
    # Names of ours are ASCII. What is not has been put there by somebody else, and must not stop us.
    return reply.decode("ascii", "replace")


SWEEP = 1000
"""Keys that one step of a sweep looks at, about."""

_OURS = re.compile(rb"e:[0-9a-f]{32}(?::old)?|[gs]:\{[^{}]+\}|c:\{[^{}]+\}:.*")


def sweep(prefix: str) -> Flow[None]:
    """Remove every entry, stamp and registry below the prefix, and no other key; then all near copies.

    Fences stay: the transactions that they stand for may yet commit, and end them. A generation that a
    reader makes meanwhile is of no harm: what is stored under it was read after the sweep had begun.
    """
    pattern = "".join(f"\\{c}" if c in "*?[]^\\" else c for c in prefix) + "[egcs]:*"
    start, cursor = len(prefix.encode()), 0
    while True:
        cursor, keys = yield Command("SCAN", (cursor, "MATCH", pattern, "COUNT", SWEEP))
        ours = [key for key in keys if _OURS.fullmatch(key, start)]
        if ours:
            yield tuple(Call(DROP, (key,), ()) for key in ours)
        if not int(cursor):
            break
    yield _forget(prefix, f"{prefix}e:")


def forget(prefix: str, key: str) -> Flow[bool]:
    """Remove an entry, and the near copies of it; return whether there was one."""
    return bool((yield _forget(prefix, key)))


def _forget(prefix: str, key: str) -> Call:
    return Call(FORGET, (key,), (channel(prefix),))


def channel(prefix: str) -> str:
    """Return the name of the channel on which near caches are told what has gone; scripts make it as well."""
    return f"{prefix}near"
