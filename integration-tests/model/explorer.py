"""Every order in which readers and writers may take their steps, with losses, crashes and expiries.

The actors are the real flows. They take one request at a time, which the simulated server answers by the
real scripts. Between any two steps a key may be lost, a writer may die, the deadline of a unit may pass (of a
dead unit: always), a request or its answer may be lost, and a server may take over that knows the keys as they once
were, as often as the scenario allows. In each state that can be reached it must hold that

- an answer that is served is no older than what had been returned to a writer before the read began, and
- once all is quiet, nothing that would be served is older than the database.

A flow cannot be copied, so an actor is kept as the replies that it has had: to take its next step it is begun
anew and told them all. What it asks for then is remembered. Births matter only in that they are equal or not:
states that differ in nothing but the time on the clock are one.
"""

from __future__ import annotations

import dataclasses
import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

from cacheops_core import flows
from cacheops_core.conditions import Dependencies
from cacheops_core.flows import Work
from cacheops_core.scripts import Script
from cacheops_core.units import Unit

from .actors import (
    REFUSED,
    UNANSWERED,
    Asked,
    Owing,
    Replies,
    Untracked,
    advance,
    after_commit,
    owing,
    reading_late,
    verbs_with,
    writing,
)
from .keyspace import EMPTY, Keyspace, Server, fences, with_expired, without


@dataclass(frozen=True)
class Scenario:
    """Who takes part, and what may go wrong how often."""

    readers: tuple[Mapping[str, Any], ...]
    """What each reader depends on; every write changes every answer."""

    writers: tuple[Mapping[str, Any] | Untracked | Owing, ...]
    """What each writer changes: rows by table, None for the whole table."""

    rounds: int = 2
    """How often each reader reads."""

    losses: int = 0
    crashes: int = 0
    expiries: int = 0
    """How often the deadline of a unit passes that still lives."""

    outages: int = 0
    """How often a request of one who goes on without does not arrive, or its answer does not."""

    reverts: int = 0
    """How often a server takes over that knows the keys as they were at some earlier moment: one that restarts
    from its snapshot, or a replica that has not heard of the last writes."""

    can_roll_back: bool = False
    max_schemes: int = 32
    scripts: Mapping[Script, Script] = field(default_factory=dict)
    """Scripts that others take the place of."""

    is_late: bool = False
    """Whether readers acquire their stamps only after they have asked the database: a mutation."""

    is_late_writer: bool = False
    """Whether writers put their fences only after they have committed: a mutation."""


class Violation(AssertionError):
    """The promise is broken; the message is the story."""


class Reader(NamedTuple):
    """A reader between two of its steps."""

    round: int = 0
    replies: Replies = ()


class Writer(NamedTuple):
    """A writer between two of its steps."""

    replies: Replies = ()
    version: int = 0
    """What it has committed, 0 for nothing."""

    state: str = "alive"


class World(NamedTuple):
    """One state of everything."""

    keyspace: Keyspace
    clock: int
    database: int
    returned: int
    readers: tuple[Reader, ...]
    writers: tuple[Writer, ...]
    losses: int
    crashes: int
    expiries: int
    reverts: int
    outages: int
    run: int = 1
    """How many servers there have been."""
    saved: Keyspace | None = None
    """The keys as the next server will know them."""


SELECT, COMMIT, ROLL_BACK = "select", "commit", "roll back"


class Explorer:
    """Walks through all states of a scenario."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.server = Server()
        self._run = cache(self.server.run)
        self._asked_by_reader = cache(self._advance_reader)
        self._asked_by_writer = cache(self._advance_writer)

    def explore(self, limit: int = 10_000_000) -> int:
        """Return the number of states, all of which keep the promise; raise Violation at the first that does not."""
        scenario = self.scenario
        readers, writers = (Reader(),) * len(scenario.readers), (Writer(),) * len(scenario.writers)
        faults = (scenario.losses, scenario.crashes, scenario.expiries, scenario.reverts, scenario.outages)
        start = World(EMPTY, 1, 0, 0, readers, writers, *faults)
        parents: dict[World, tuple[World, str] | None] = {start: None}
        queue = deque([start])
        while queue and len(parents) < limit:
            world = queue.popleft()
            try:
                for label, after in self.steps(world):
                    after = canonical(after)
                    if after not in parents:
                        parents[after] = (world, label)
                        queue.append(after)
            except Violation as violation:
                raise Violation(f"{violation}\n{self._story(world, parents)}") from None
        return len(parents)

    def steps(self, world: World) -> Iterator[tuple[str, World]]:
        """Yield everything that may happen next."""
        for number, reader in enumerate(world.readers):
            if reader.round < self.scenario.rounds:
                yield f"R{number}", self._read(world, number, reader)
        for number, writer in enumerate(world.writers):
            if writer.state == "alive":
                yield from self._write(world, number, writer)
        yield from self._accidents(world)
        if all(writer.state != "alive" for writer in world.writers) and not any(fences(world.keyspace)):
            self._check_quiet(world)

    # Readers

    def _read(self, world: World, number: int, reader: Reader) -> World:
        request, _ = self._asked_by_reader(number, reader.replies)
        if isinstance(request, Work):
            after, reply = world, world.database
        else:
            after, reply = self._answer(world, request)
        reader = reader._replace(replies=(*reader.replies, reply))
        request, result = self._asked_by_reader(number, reader.replies)
        if request is None:
            # A read that is served begins and ends with its only step.
            if len(reader.replies) == 1 and result < world.returned:
                raise Violation(f"R{number} is served {result}, but {world.returned} had been returned")
            reader = Reader(reader.round + 1)
        return after._replace(readers=_put(after.readers, number, reader))

    def _advance_reader(self, number: int, replies: Replies) -> tuple[Any, Any]:
        verbs = verbs_with(max_schemes=self.scenario.max_schemes)
        dependencies = Dependencies.coerce(self.scenario.readers[number])
        if self.scenario.is_late:
            return advance(reading_late(verbs, dependencies), replies)
        return advance(verbs.computing(b"k", dependencies, int), replies)

    # Writers

    def _write(self, world: World, number: int, writer: Writer) -> Iterator[tuple[str, World]]:
        request, _ = self._asked_by_writer(number, writer.replies)
        if not isinstance(request, Work):
            after, reply = self._answer(world, request)
            yield f"W{number}", self._written(after, number, writer, reply)
            if world.outages and isinstance(self.scenario.writers[number], Owing):
                left = world.outages - 1
                unasked, untold = world._replace(outages=left), after._replace(outages=left)
                yield f"W{number} is refused", self._written(unasked, number, writer, REFUSED)
                yield f"W{number} is not heard", self._written(unasked, number, writer, UNANSWERED)
                yield f"W{number} does not hear", self._written(untold, number, writer, UNANSWERED)
            return
        version = world.database + 1
        committed = writer._replace(version=version)
        yield f"W{number} commits", self._written(world._replace(database=version), number, committed, COMMIT)
        if self.scenario.can_roll_back:
            yield f"W{number} rolls back", self._written(world, number, writer, ROLL_BACK)

    def _written(self, world: World, number: int, writer: Writer, reply: Any) -> World:
        writer = writer._replace(replies=(*writer.replies, reply))
        request, result = self._asked_by_writer(number, writer.replies)
        if request is None:
            kept = writer.version if self._is_kept(world, number, result) else 0
            if isinstance(result, Asked) and result.served is not None and result.served < kept:
                raise Violation(f"W{number} is served {result.served}, but had written {kept} itself")
            writer = Writer((), kept, "done")
            world = world._replace(returned=max(world.returned, kept))
        return world._replace(writers=_put(world.writers, number, writer))

    def _is_kept(self, world: World, number: int, result: Any) -> bool:
        """Tell whether the promise holds from now on for what a writer has written."""
        if self.scenario.writers[number] is Untracked.FORGETS:
            # Who has asked the database by now, and has yet to store the answer, has not heard of it.
            return not any(type(reply) is int for reader in world.readers for reply in reader.replies)
        return not isinstance(result, Asked) or not result.is_owing

    def _advance_writer(self, number: int, replies: Replies) -> tuple[Any, Any]:
        kind = self.scenario.writers[number]
        verbs = verbs_with(degrade=isinstance(kind, Owing))
        dependencies = Dependencies.coerce(self.scenario.readers[0])
        if kind is Untracked.SWEEPS:
            return advance(after_commit(verbs.sweeping()), replies)
        if kind is Untracked.FORGETS:
            return advance(after_commit(verbs.forgetting(verbs.key_of(b"k", dependencies))), replies)
        unit = Unit(_id=f"u{number}")
        for table, rows in (kind.changes if isinstance(kind, Owing) else kind).items():
            unit.add(table, rows)
        if isinstance(kind, Owing):
            return advance(owing(verbs, unit, dependencies), replies)
        return advance(writing(verbs, unit, self.scenario.is_late_writer), replies)

    # What goes wrong

    def _accidents(self, world: World) -> Iterator[tuple[str, World]]:
        if world.losses:
            for key, _ in world.keyspace:
                lost = world._replace(keyspace=without(world.keyspace, key), losses=world.losses - 1)
                yield f"{key.decode()} is lost", lost
        for number, writer in enumerate(world.writers):
            # Of the others, what the dead had yet to do is not promised.
            may_die = isinstance(self.scenario.writers[number], Mapping)
            if writer.state == "alive" and writer.replies and may_die and world.crashes:
                dead = _put(world.writers, number, Writer((), writer.version, "dead"))
                yield f"W{number} dies", world._replace(writers=dead, crashes=world.crashes - 1)
            # One that is done may be back in a fence as the next server knows it.
            is_dead = writer.state != "alive"
            unit = f"u{number}".encode()
            stands = any(
                member == unit and score for _, members in fences(world.keyspace) for member, score in members
            )
            if stands and (is_dead or world.expiries):
                left = world.expiries if is_dead else world.expiries - 1
                after = world._replace(keyspace=with_expired(world.keyspace, unit), expiries=left)
                yield f"the deadline of W{number} passes", after
        if world.saved is not None:
            back = world._replace(keyspace=world.saved, run=world.run + 1, saved=None)
            yield "a server takes over that knows what was saved", back
        elif world.reverts:
            yield "the keys are saved", world._replace(saved=world.keyspace, reverts=world.reverts - 1)

    def _check_quiet(self, world: World) -> None:
        for number in range(len(self.scenario.readers)):
            request, _ = self._asked_by_reader(number, ())
            _, reply = self._run(world.keyspace, world.clock, request, _run(world))
            request, result = self._asked_by_reader(number, (_frozen(reply),))
            newest = max(world.returned, *(writer.version for writer in world.writers))
            if request is None and result < newest:
                raise Violation(f"all is quiet, and R{number} would be served {result} of {newest}")

    # The server

    def _answer(self, world: World, request: Any) -> tuple[World, Any]:
        keyspace, clock, replies = world.keyspace, world.clock, []
        for one in request if isinstance(request, tuple) else (request,):
            if isinstance(one, flows.Call):
                one = dataclasses.replace(one, script=self.scenario.scripts.get(one.script, one.script))
                clock += 1
            keyspace, reply = self._run(keyspace, clock, one, _run(world))
            replies.append(_frozen(reply))
        reply = tuple(replies) if isinstance(request, tuple) else replies[0]
        return world._replace(keyspace=keyspace, clock=clock), reply

    def _story(self, world: World, parents: Mapping[World, tuple[World, str] | None]) -> str:
        lines = []
        while (step := parents[world]) is not None:
            keys = ", ".join(f"{key.decode()}={value!r}" for key, value in world.keyspace)
            lines.append(f"  {step[1]}: database {world.database}, returned {world.returned}, {keys}")
            world = step[0]
        return "\n".join(reversed(lines)) + f"\n({len(parents)} states)"


BIRTH = re.compile(rb"\0{7}(.)\0{4}", re.DOTALL)
"""A birth while the clock is below 256: nothing else in a keyspace has zeros in it."""


def canonical(world: World) -> World:
    """Return the same state with its births numbered from 1, in their order."""
    held = (world.keyspace, world.saved or (), *(actor.replies for actor in (*world.readers, *world.writers)))
    found = frozenset[bytes]().union(*map(_births, held))
    if world.clock == len(found) + 1:
        return world
    births = b"".join(sorted(found))
    readers = tuple(reader._replace(replies=_renamed(reader.replies, births)) for reader in world.readers)
    writers = tuple(writer._replace(replies=_renamed(writer.replies, births)) for writer in world.writers)
    return world._replace(
        keyspace=_renamed(world.keyspace, births),
        saved=world.saved and _renamed(world.saved, births),
        readers=readers,
        writers=writers,
        clock=len(births) + 1,
    )


@cache
def _births(held: Any) -> frozenset[bytes]:
    if isinstance(held, bytes):
        return frozenset(BIRTH.findall(held))
    return frozenset().union(*map(_births, held)) if isinstance(held, tuple) else frozenset()


@cache
def _renamed(held: Any, births: bytes) -> Any:
    if isinstance(held, bytes):
        return BIRTH.sub(lambda found: bytes([0] * 7 + [births.index(found[1]) + 1] + [0] * 4), held)
    return tuple(_renamed(one, births) for one in held) if isinstance(held, tuple) else held


def _run(world: World) -> bytes:
    return b"run%d" % world.run


def _frozen(reply: Any) -> Any:
    return tuple(map(_frozen, reply)) if isinstance(reply, list) else reply


def _put(actors: tuple[Any, ...], number: int, actor: Any) -> tuple[Any, ...]:
    return (*actors[:number], actor, *actors[number + 1 :])
