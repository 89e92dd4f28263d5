"""Who takes part in the explorations, and which line of the protocol is essential to which of them.

What is covered, each in every order of all steps: readers that hit, and readers that miss, acquire, select and fill,
of one scheme, of two (each is new to the table at first), of two tables, and of more schemes than there is room for;
writers that fence, commit or roll back, and release, one or two of them, of the same row, of two rows in one list, of a
row that moves from one list to another, of which a field is not known, of a whole table, and of two tables in one
transaction or in two; those that go on while the server is away, owe it their releases and send them later; and those
whose writes nobody tracks, and who drop everything after it, or remove the one entry. Between any two steps: a writer
dies (a reader that dies is one that takes no further step), any key is lost, the deadline of a fence passes, a request
or its answer is lost, and a server takes over that has older keys. How many of which at once, each scenario says.

What is not here, since the promise does not hang on it:

- what scripts publish to near caches, whose copies have a bound of their own (``test_near_delay.py``, and the core's
  ``test_near_races.py``);
- ``retire``, which moves an entry that is not valid any more to where only those look who take old answers, in an order
  that keeps its time from beginning again (the core's ``test_flows.py``);
- how long keys live: time does not pass in the model, so that a key which ends too early is one that is lost;
- locks and the simple cache, which know of no writes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

from cacheops_core import flows
from cacheops_core.scripts import ACQUIRE, DROP, FENCE, FORGET, RELEASE, Script
from cacheops_core.stamps import FORMAT, GENERATION, RUN_LENGTH, StampKeys
from cacheops_core.units import Owed

from .actors import Owing, Untracked
from .explorer import Scenario
from .keyspace import Server

BY_A, BY_B = {"t": [{"a": 1}]}, {"t": [{"b": 1}]}
"""Two readers of one row by two schemes."""

BOTH_TABLES = {"t": [{"a": 1}], "u": [{"b": 1}]}

ROW = {"t": [{"a": "1", "b": "1"}]}
ROW_BESIDE = {"t": [{"a": "1", "b": "2"}]}
MOVED = {"t": [{"a": "1", "b": "1"}, {"a": "2", "b": "1"}]}
ROW_IN_PART = {"t": [{"a": "1"}]}
BY_OTHER_A = {"t": [{"a": 2}]}
OTHER_TABLE = {"u": [{"a": "1", "b": "1"}]}
WHOLE_TABLE = {"t": None}

SCENARIOS = {
    "one writer, two lost keys": Scenario((BY_A, BY_B), (ROW,), rounds=1, losses=2),
    "one writer, a lost key, read twice": Scenario((BY_A, BY_B), (ROW,), losses=1),
    "one writer, a lost key and an expired fence": Scenario(
        (BY_A, BY_B), (ROW,), rounds=1, losses=1, expiries=1
    ),
    "two writers, one dies": Scenario((BY_A, BY_B), (ROW, ROW), rounds=1, crashes=1),
    "two writers that may roll back": Scenario((BY_A, BY_A), (ROW, ROW), rounds=1, can_roll_back=True),
    "two writers, an expired fence": Scenario((BY_A,), (ROW, ROW), expiries=1),
    "a whole table and a row, one dies": Scenario((BY_A,), (WHOLE_TABLE, ROW), crashes=1),
    "a whole table, a lost key": Scenario((BY_A, BY_B), (WHOLE_TABLE,), rounds=1, losses=1),
    "a row of which a field is not known, one dies": Scenario(
        (BY_A, BY_B), (ROW_IN_PART,), rounds=1, crashes=1
    ),
    "two tables, one written, a lost key": Scenario((BOTH_TABLES,), (ROW,), losses=1),
    "two tables, each written": Scenario((BOTH_TABLES, BOTH_TABLES), (ROW, OTHER_TABLE), rounds=1),
    "two rows of one list, each written, one dies": Scenario(
        (BY_A, BY_A), (ROW, ROW_BESIDE), rounds=1, crashes=1
    ),
    "a row that moves, a lost key": Scenario((BY_A, BY_OTHER_A), (MOVED,), rounds=1, losses=1),
    "two tables in one transaction, a lost key": Scenario(
        (BOTH_TABLES, BY_A), (ROW | OTHER_TABLE,), rounds=1, losses=1, can_roll_back=True
    ),
    "one writer, a server with older keys": Scenario((BY_A,), (ROW,), reverts=1),
    "two schemes, a server with older keys": Scenario((BY_A, BY_B), (ROW,), rounds=1, reverts=1),
    "a whole table, a server with older keys": Scenario((BY_A,), (WHOLE_TABLE,), reverts=1),
    "two writers, a server with older keys": Scenario((BY_A,), (ROW, ROW), rounds=1, reverts=1),
    "one writer, two servers with older keys": Scenario((BY_A,), (ROW,), reverts=2),
    "all is dropped, a lost key": Scenario((BY_A, BY_B), (Untracked.SWEEPS,), rounds=1, losses=1),
    "all is dropped, read twice": Scenario((BY_A,), (Untracked.SWEEPS,), losses=1),
    "all is dropped beside a writer, which dies": Scenario((BY_A,), (ROW, Untracked.SWEEPS), crashes=1),
    "all is dropped beside a whole table, an expired fence": Scenario(
        (BY_A,), (WHOLE_TABLE, Untracked.SWEEPS), rounds=1, expiries=1
    ),
    "an entry is removed beside a writer, which dies": Scenario(
        (BY_A, BY_A), (ROW, Untracked.FORGETS), rounds=1, crashes=1
    ),
    "a writer goes on while the server is away": Scenario((BY_A,), (Owing(ROW),), outages=3),
    "a writer goes on while the server is away, beside another": Scenario(
        (BY_A,), (Owing(ROW), ROW), rounds=1, outages=2
    ),
    "no room for a second scheme": Scenario((BY_A, BY_B), (ROW,), losses=1, max_schemes=1),
}
"""Small enough to be explored to the end in seconds, together as broad as the argument in `flows`."""

LARGE = {
    "two readers, two rounds, one writer, two lost keys": Scenario((BY_A, BY_B), (ROW,), losses=2),
    "two readers, two rounds, two writers, two die": Scenario((BY_A, BY_B), (ROW, ROW), crashes=2),
    "two readers, two rounds, a lost key and an expired fence": Scenario(
        (BY_A, BY_B), (ROW,), losses=1, expiries=1
    ),
}
"""For minutes: as large as the model in the design."""


@dataclass(frozen=True)
class Mutation:
    """A change to an essential line, and a scenario in which it breaks the promise."""

    scenario: Scenario
    script: Script | None = None
    line: str = ""
    instead: str = ""
    patch: Callable[[], AbstractContextManager[Any]] = nullcontext

    def mutated(self) -> Scenario:
        """Return the scenario with the script changed."""
        if self.script is None:
            return self.scenario
        assert self.script.source.count(self.line) == 1, (
            f"{self.line!r} is not one line of {self.script.name}"
        )
        mutant = replace(self.script, source=self.script.source.replace(self.line, self.instead))
        return replace(self.scenario, scripts={self.script: mutant})


@contextmanager
def _without_generations() -> Iterator[None]:
    def head(self: StampKeys, found: Sequence[bytes | None], run: Any) -> bytes | None:
        if None in found:
            return None
        # What is as long as a stamp, without the generation that it begins with.
        return FORMAT + b"".join(one[GENERATION:] or one for one in found if one)

    with mock.patch.object(StampKeys, "head", head):
        yield


@contextmanager
def _without_runs() -> Iterator[None]:
    checked = StampKeys.head

    def head(self: StampKeys, found: Sequence[bytes | None], run: Any) -> bytes | None:
        return checked(
            self, found, [one[GENERATION - RUN_LENGTH : GENERATION] if one else b"-" for one in found]
        )

    with mock.patch.object(StampKeys, "head", head):
        yield


@contextmanager
def _with_old_answers() -> Iterator[None]:
    fetched = flows.fetch

    def fetch(key: str, stamps: StampKeys) -> flows.Flow[flows.Found]:
        found = yield from fetched(key, stamps)
        return (
            found if found.outdated is None else found._replace(payload=found.outdated[stamps.head_length :])
        )

    with mock.patch.object(flows, "fetch", fetch):
        yield


@contextmanager
def _sweeping_entries_alone() -> Iterator[None]:
    with mock.patch.object(flows, "_OURS", re.compile(b"e:.*")):
        yield


@contextmanager
def _sweeping_no_farther_than_the_first_key() -> Iterator[None]:
    scan = Server.do_scan
    with mock.patch.object(Server, "do_scan", lambda *args: [b"0", scan(*args)[1]]):
        yield


def _nothing(*_: Any) -> flows.Flow[Any]:
    yield ()
    return {}


@contextmanager
def _without_releases_of_what_is_owed() -> Iterator[None]:
    with mock.patch.object(flows, "release_all", _nothing):
        yield


@contextmanager
def _without_debts() -> Iterator[None]:
    with mock.patch.object(Owed, "add"):
        yield


@contextmanager
def _paying_for_the_first_table_alone() -> Iterator[None]:
    paid = flows.release_all

    def release_all(prefix: str, releases: Any, *args: Any) -> flows.Flow[Any]:
        return paid(prefix, [(unit, dict([*changes.items()][:1])) for unit, changes in releases], *args)

    with mock.patch.object(flows, "release_all", release_all):
        yield


_QUIET = Scenario((BY_A, BY_B), (ROW,))
_LOSS = replace(_QUIET, losses=1)
_CRASH = replace(_QUIET, crashes=1)
_SWEEP = Scenario((BY_A,), (Untracked.SWEEPS,))
_OUTAGES = Scenario((BY_A,), (Owing(ROW),), outages=2)

MUTATIONS: Mapping[str, Mutation] = {
    "stamps are acquired after the database was asked": Mutation(replace(_QUIET, is_late=True)),
    "the fence comes after the commit": Mutation(replace(_QUIET, is_late_writer=True, crashes=1)),
    "a stamp of another generation is valid": Mutation(_LOSS, patch=_without_generations),
    "a generation that an earlier server has made is valid": Mutation(
        Scenario((BY_A,), (ROW,), reverts=1), patch=_without_runs
    ),
    "acquire makes a registry under an old generation": Mutation(
        _LOSS, ACQUIRE, "if has_registry and generation and", "if generation and"
    ),
    "acquire takes a new scheme while a unit commits": Mutation(
        _CRASH, ACQUIRE, "        if is_committing then", "        if false then"
    ),
    "acquire gives stamps of a scheme that there was no room for": Mutation(
        replace(_CRASH, max_schemes=1), ACQUIRE, "            is_full = true", ""
    ),
    "acquire looks through the fence of a stamp": Mutation(
        _CRASH,
        ACQUIRE,
        "    if is_fence(key, 'string') then",
        "    if is_fence(key, 'string') then redis.call('DEL', key) end\n    if false then",
    ),
    "acquire looks through the fence of a table": Mutation(
        Scenario((BY_A,), (WHOLE_TABLE,), crashes=1),
        ACQUIRE,
        "if is_fence(KEYS[1], 'string') then",
        "redis.call('DEL', KEYS[1])\nif false then",
    ),
    "a fence stands only in place of a stamp": Mutation(
        Scenario((BY_A,), (ROW, ROW), crashes=1),
        FENCE,
        "    for _, key in ipairs(keys) do\n        put_fence(key)",
        "    for _, key in ipairs(keys) do\n        if redis.call('EXISTS', key) == 1 then put_fence(key) end",
    ),
    "no fence is put": Mutation(
        _CRASH, FENCE, "    for _, key in ipairs(keys) do\n        put_fence(key)", "    for _ = 1, 0 do"
    ),
    "a row that lacks a field is fenced as far as it is known": Mutation(
        replace(_CRASH, writers=(ROW_IN_PART,)),
        FENCE,
        "                if token == nil then\n                    return nil",
        "                if token == nil then\n                    token = '?'",
    ),
    "a unit does not say that it commits": Mutation(_CRASH, FENCE, "put_fence(KEYS[3])", ""),
    "a fence without a registry leaves the generation": Mutation(
        replace(_LOSS, crashes=1), FENCE, "    drop_unless_fence(KEYS[1])\nelse", "else"
    ),
    "a whole table is not fenced": Mutation(
        Scenario((BY_A,), (WHOLE_TABLE,), crashes=1),
        FENCE,
        "if keys == nil then\n    put_fence(KEYS[1])",
        "if keys == nil then",
    ),
    "a release leaves the stamp in place of its fence": Mutation(
        replace(_QUIET, expiries=1),
        RELEASE,
        "        redis.call('DEL', key)\n    end\n    return left == 1",
        "    end\n    return left == 1",
    ),
    "a release leaves the generation of a whole table": Mutation(
        Scenario((BY_A,), (WHOLE_TABLE,), expiries=1),
        RELEASE,
        "if keys == nil or #schemes == 0 then\n    drop_unless_fence(KEYS[1])",
        "if keys == nil or #schemes == 0 then",
    ),
    "a release ends the fence of others too": Mutation(
        Scenario((BY_A,), (ROW, ROW), crashes=1),
        RELEASE,
        "redis.pcall('ZREM', key, ARGV[1])",
        "redis.pcall('DEL', key)",
    ),
    "an answer is served whatever its stamps are by now": Mutation(_QUIET, patch=_with_old_answers),
    "a sweep drops fences too": Mutation(
        Scenario((BY_A,), (ROW, Untracked.SWEEPS), crashes=1),
        DROP,
        "if redis.call('TYPE', KEYS[1]).ok == 'zset' then",
        "if false then",
    ),
    "a sweep drops nothing": Mutation(_SWEEP, DROP, "return redis.call('DEL', KEYS[1])", "return 0"),
    "a sweep leaves the stamps": Mutation(_SWEEP, patch=_sweeping_entries_alone),
    "a sweep ends too early": Mutation(
        replace(_SWEEP, readers=(BY_A, BY_B)), patch=_sweeping_no_farther_than_the_first_key
    ),
    "what is forgotten stays": Mutation(
        Scenario((BY_A,), (Untracked.FORGETS,)), FORGET, "return redis.call('DEL', KEYS[1])", "return 0"
    ),
    "what could not be released is not owed": Mutation(_OUTAGES, patch=_without_debts),
    "what is owed is not released": Mutation(_OUTAGES, patch=_without_releases_of_what_is_owed),
    "what is owed is released for one table alone": Mutation(
        replace(_OUTAGES, writers=(Owing(OTHER_TABLE | ROW),)),
        patch=_paying_for_the_first_table_alone,
    ),
    "a release without a registry leaves the generation": Mutation(
        Scenario((BY_A, BY_B), (ROW,), losses=2),
        RELEASE,
        "if keys == nil or #schemes == 0 then",
        "if keys == nil then",
    ),
}
"""Each of them must be caught."""
