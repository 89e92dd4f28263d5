"""Units of work: what a transaction has changed so far, and must invalidate when it commits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from os import urandom

from .conditions import Row, Rows


@dataclass(frozen=True, slots=True)
class Change:
    """One table was changed: in this row (its old or its new values), or as a whole if there is none."""

    table: str
    row: Row | None = None


@dataclass(slots=True)
class Unit:
    """The changes of one transaction, in order, with marks where its savepoints began.

    Pure: it knows neither the database nor the server of the cache.
    """

    changes: list[Change] = field(default_factory=list)
    _marks: dict[str, int] = field(default_factory=dict)
    _id: str = ""
    _compact: tuple[int, dict[str, Rows | None]] | None = None

    @property
    def id(self) -> str:
        """The unit's name in fences, which no other has: drawn when it is first asked for, as most never are."""
        if not self._id:
            self._id = urandom(16).hex()
        return self._id

    def compact(self) -> dict[str, Rows | None]:
        """Return the distinct rows of each table, the same each time until there are more or fewer changes."""
        count = len(self.changes)
        if self._compact is None or self._compact[0] != count:
            self._compact = count, compact(self.changes)
        return self._compact[1]

    def add(self, table: str, rows: Iterable[Row] | None) -> None:
        """Note that these rows of a table change, or the whole of it."""
        if rows is None:
            self.changes.append(Change(table))
        else:
            self.changes.extend(Change(table, row) for row in rows)

    def mark(self, savepoint: str) -> None:
        """Note that a savepoint begins here."""
        self._marks[savepoint] = len(self.changes)

    def roll_back_to(self, savepoint: str) -> list[Change]:
        """Forget what was changed since a savepoint, and return it; an unknown savepoint forgets nothing.

        Forgetting nothing is safe: a unit that invalidates too much costs a miss.
        """
        self._compact = None
        mark = self._marks.get(savepoint, len(self.changes))
        forgotten = self.changes[mark:]
        del self.changes[mark:]
        return forgotten

    @property
    def tables(self) -> frozenset[str]:
        """The tables that have been changed."""
        return frozenset(change.table for change in self.changes)


def compact(changes: Sequence[Change]) -> dict[str, Rows | None]:
    """Return the distinct rows of each table, None for a table that has changed as a whole."""
    rows: dict[str, dict[tuple[tuple[str, str | None], ...], Row] | None] = {}
    for change in changes:
        if change.row is None:
            rows[change.table] = None
        elif (known := rows.setdefault(change.table, {})) is not None:
            known[tuple(sorted(change.row.items(), key=_by_field))] = change.row
    return {table: None if found is None else Rows(found.values()) for table, found in rows.items()}


def _by_field(item: tuple[str, str | None]) -> str:
    return item[0]


OWED_ROWS = 1000
"""Rows of a table that are remembered while the server is away; of more, the whole table is dropped."""

OWED_PARTS = 100
"""Invalidations that are kept apart while the server is away, before they are merged into one."""


@dataclass(frozen=True, slots=True)
class Debt:
    """What one unit of work could not release."""

    changes: Mapping[str, Iterable[Row] | None]
    """What is to be invalidated; None stands for a whole table."""
    unit: str = field(default_factory=lambda: urandom(16).hex())
    """Whose fences may stand: only under its own name can they be left."""


class Owed:
    """Invalidations that could not be sent: to be sent before the cache is trusted again.

    Threads share it without a lock (one that is held while a process forks would stay locked in the child).
    What is owed leaves only after it was sent: two threads may both send it, which is no harm, but none of
    them can find nothing owed while the other is still about to send.
    """

    def __init__(self) -> None:
        self._debts: dict[object, Debt] = {}

    def add(self, debt: Debt) -> None:
        """Note what is to be sent."""
        self._debts[object()] = debt
        if len(self._debts) > OWED_PARTS:
            # Of so many units the fences may stand until they expire.
            debts = dict(self._debts)
            self._debts[object()] = Debt(merge(one.changes for one in debts.values()))
            self.settle(debts)

    def debts(self) -> dict[object, Debt]:
        """Return what is owed now, to be sent and settled."""
        return dict(self._debts) if self._debts else {}

    def settle(self, debts: Iterable[object]) -> None:
        """Forget what has been sent."""
        for debt in debts:
            self._debts.pop(debt, None)


def merge(parts: Iterable[Mapping[str, Iterable[Row] | None]]) -> dict[str, Rows | None]:
    """Return the distinct rows of each table in any of these changes, None for many of them."""
    unit = Unit()
    for changes in parts:
        for table, rows in changes.items():
            unit.add(table, rows)
    merged = compact(unit.changes)
    return {table: None if rows and len(rows) > OWED_ROWS else rows for table, rows in merged.items()}
