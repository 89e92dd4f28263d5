"""What has been written, told by shared memory and not by the cache, and what a read may answer therefore.

Every row is in one place at a time: a product in its category, or with its tag. For each row there are two notes.
*begun* is the newest version that may have been committed: a writer raises it before its COMMIT. *returned* is the
newest version whose write has returned to its writer, with the place where the row is then. A reader copies
*returned* before it asks, and *begun* after it has the answer:

- no row may be older than what had returned before;
- a row for which nothing was begun beyond that is *settled*: it is in its place and in no other.

There is no lock: a writer may be killed anywhere. Each of them notes what it has returned in an array of its own,
one whole number at a time, and of *begun* it writes only rows whose locks it holds in the database.

Where a server was away, the promise may have a bound (``bound`` seconds after it is back), and the ledger says when
that was.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from ctypes import c_double, c_int64
from dataclasses import dataclass
from math import inf
from multiprocessing.sharedctypes import RawArray
from typing import Any

PLACES_AT_MOST = 1 << 16
WINDOWS_AT_MOST = 10_000


class Ledger:
    """The notes about all rows, shared by the processes that it is handed to when they start."""

    def __init__(self, rows: int, places: int, writers: int, bound: float = 0.0) -> None:
        assert places < PLACES_AT_MOST
        self.rows, self.places, self.bound = rows, places, bound
        self._returned: list[Any] = [RawArray(c_int64, rows) for _ in range(max(1, writers))]
        self._begun: Any = RawArray(c_int64, rows)
        # Beginnings and ends; a window that is open ends never.
        self._windows: Any = RawArray(c_double, 2 * WINDOWS_AT_MOST)
        self._number_of_windows: Any = RawArray(c_int64, 1)

    # Writers

    def begin(self, row: int, version: int) -> None:
        """Note, before COMMIT and under the row's lock, that a version may be seen from now on."""
        self._begun[row] = version

    def take_back(self, row: int, version: int) -> None:
        """Note, before ROLLBACK and under the row's lock, that nobody will have seen a version."""
        self._begun[row] = version - 1

    def publish(self, writer: int, row: int, version: int, place: int) -> None:
        """Note that a write has returned."""
        mine = self._returned[writer]
        mine[row] = max(mine[row], version * PLACES_AT_MOST + place)

    def version(self, row: int) -> int:
        """Return the newest version of a row that may exist."""
        returned = max(int(mine[row]) for mine in self._returned) // PLACES_AT_MOST
        return max(returned, int(self._begun[row]))

    # Readers

    def look(self) -> "View":
        """Return what has returned by now."""
        first, *others = (mine[:] for mine in self._returned)
        return View(self, list(map(max, first, *others)) if others else first)

    def begun(self) -> list[int]:
        """Return the newest version of each row that may have been committed by now."""
        return self._begun[:]  # type: ignore[no-any-return]

    def excuse(self, began: float) -> float | None:
        """Return how long after a fault a read began that is within its bound, 0 during it; None for any other."""
        for number in reversed(range(self._number_of_windows[0])):
            start, end = self._windows[2 * number : 2 * number + 2]
            if start <= began <= end + self.bound:
                return float(max(0.0, began - end))
        return None

    # Faults

    def open_window(self) -> None:
        """Note that a fault begins, for which there is a bound."""
        number = self._number_of_windows[0]
        self._windows[2 * number : 2 * number + 2] = [time.monotonic(), inf]
        self._number_of_windows[0] += 1

    def close_window(self) -> None:
        """Note that it is over."""
        self._windows[2 * self._number_of_windows[0] - 1] = time.monotonic()


@dataclass(frozen=True, slots=True)
class View:
    """What had returned before a read began; each method says what is wrong with an answer, if anything."""

    ledger: Ledger | None
    """None for what the database said when all was quiet: nothing has begun that has not returned."""
    returned: Sequence[int]

    @classmethod
    def of_database(cls, found: Iterable[tuple[int, int]]) -> "View":
        """Return what holds when nobody writes, from the version and the place of each row."""
        return cls(None, [version * PLACES_AT_MOST + place for version, place in found])

    def row(self, row: int, version: int, place: int) -> str | None:
        """Check one row."""
        had, its_place = divmod(self.returned[row], PLACES_AT_MOST)
        if version < had:
            return f"row {row} has version {version}, {had} had returned"
        if version == had and place != its_place:
            return f"row {row} is in place {place}, but was in {its_place} when version {had} returned"
        return None

    def listing(self, place: int, found: dict[int, int]) -> str | None:
        """Check which rows are in a place, given with their versions."""
        for row, version in found.items():
            if wrong := self.row(row, version, place):
                return f"list of place {place}: {wrong}"
        return self.members(place, found)

    def members(self, place: int, found: Iterable[int]) -> str | None:
        """Check which rows are in a place, of which nothing but that is known."""
        found = set(found)
        for row, had, its_place in self._settled():
            if (its_place == place) != (row in found):
                is_there = "has" if row in found else "lacks"
                return (
                    f"list of place {place} {is_there} row {row}, which is in {its_place} since version {had}"
                )
        return None

    def places(self, row: int, found: Iterable[int]) -> str | None:
        """Check in which places one row is."""
        found = sorted(found)
        had, its_place = divmod(self.returned[row], PLACES_AT_MOST)
        if self._begun()[row] == had and found != [its_place]:
            return f"row {row} is in places {found}, but in {its_place} since version {had}"
        return None

    def count(self, place: int, number: int) -> str | None:
        """Check how many rows are in a place."""
        settled, open_rows = self._split(place)
        return self._between("count", place, number, len(settled), len(settled) + len(open_rows))

    def exists(self, place: int, answer: bool) -> str | None:
        """Check whether there are rows in a place."""
        settled, open_rows = self._split(place)
        return self._between("exists", place, answer, bool(settled), bool(settled or open_rows))

    def total(self, place: int, number: int) -> str | None:
        """Check the sum of the versions in a place."""
        settled, open_rows = self._split(place)
        return self._between("sum", place, number, sum(settled), sum(settled) + sum(open_rows))

    def _begun(self) -> list[int]:
        if self.ledger is None:
            return [note // PLACES_AT_MOST for note in self.returned]
        return self.ledger.begun()

    def _split(self, place: int) -> tuple[list[int], list[int]]:
        """Return the versions of the rows in a place, and the newest ones of those that may be there."""
        begun = self._begun()
        settled = {row: (had, its_place) for row, had, its_place in self._settled(begun)}
        inside = [had for had, its_place in settled.values() if its_place == place]
        return inside, [version for row, version in enumerate(begun) if row not in settled]

    def _settled(self, begun: list[int] | None = None) -> Iterator[tuple[int, int, int]]:
        for row, (note, version) in enumerate(zip(self.returned, begun or self._begun(), strict=True)):
            had, place = divmod(note, PLACES_AT_MOST)
            if had == version:
                yield row, had, place

    def _between(self, what: str, place: int, answer: int, low: int, high: int) -> str | None:
        if low <= answer <= high:
            return None
        return f"{what} of place {place} is {answer}, not between {low} and {high}"
