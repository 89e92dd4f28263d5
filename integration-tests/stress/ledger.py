"""What has been written, told by shared memory and not by the cache, and what a read may answer therefore.

For each row there are two notes. *begun* is the newest version that may have been committed: a writer raises it
before its COMMIT. *returned* is the newest version whose write has returned to its writer, with the category that
the row is in then. A reader copies *returned* before it asks, and *begun* after it has the answer:

- no row may be older than what had returned before;
- a row for which nothing was begun beyond that is *settled*: it is in its category and in no other.
"""

from collections.abc import Iterable, Iterator
from ctypes import c_int64
from dataclasses import dataclass
from multiprocessing.sharedctypes import RawArray
from typing import Any

from processes import spawning

CATEGORIES_AT_MOST = 1 << 16


class Ledger:
    """The notes about all rows, shared by the processes that it is handed to when they start."""

    def __init__(self, rows: int, categories: int) -> None:
        assert categories < CATEGORIES_AT_MOST
        self.rows, self.categories = rows, categories
        # A note is one number, so that it is read and written as a whole.
        self._returned: Any = RawArray(c_int64, rows)
        self._begun: Any = RawArray(c_int64, rows)
        self._lock = spawning.Lock()

    def begin(self, row: int, version: int) -> None:
        """Note, before COMMIT and under the row's lock, that a version may be seen from now on."""
        self._begun[row] = version

    def take_back(self, row: int, version: int) -> None:
        """Note, before ROLLBACK and under the row's lock, that nobody will have seen a version."""
        self._begun[row] = version - 1

    def publish(self, row: int, version: int, category: int) -> None:
        """Note that a write has returned."""
        with self._lock:
            self._returned[row] = max(self._returned[row], version * CATEGORIES_AT_MOST + category)

    def look(self) -> "View":
        """Return what has returned by now."""
        return View(self, self._returned[:])

    def begun(self) -> list[int]:
        """Return the newest version of each row that may have been committed by now."""
        return self._begun[:]  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class View:
    """What had returned before a read began; each method says what is wrong with an answer, if anything."""

    ledger: Ledger
    returned: list[int]

    def row(self, row: int, version: int, category: int) -> str | None:
        """Check one row."""
        had, its_category = divmod(self.returned[row], CATEGORIES_AT_MOST)
        if version < had:
            return f"row {row} has version {version}, {had} had returned"
        if version == had and category != its_category:
            return (
                f"row {row} is in category {category}, but was in {its_category} when version {had} returned"
            )
        return None

    def listing(self, category: int, found: dict[int, int]) -> str | None:
        """Check which rows are in a category, given with their versions."""
        begun = self.ledger.begun()
        for row, version in found.items():
            if wrong := self.row(row, version, category):
                return f"list of category {category}: {wrong}"
        for row, had, its_category in self._settled(begun):
            if its_category == category and row not in found:
                return (
                    f"list of category {category} lacks row {row}, which has been there since version {had}"
                )
        return None

    def count(self, category: int, number: int) -> str | None:
        """Check how many rows are in a category."""
        settled, open_rows = self._split(category)
        return self._between("count", category, number, len(settled), len(settled) + len(open_rows))

    def exists(self, category: int, answer: bool) -> str | None:
        """Check whether there are rows in a category."""
        settled, open_rows = self._split(category)
        return self._between("exists", category, answer, bool(settled), bool(settled or open_rows))

    def total(self, category: int, number: int) -> str | None:
        """Check the sum of the versions in a category."""
        settled, open_rows = self._split(category)
        return self._between("sum", category, number, sum(settled), sum(settled) + sum(open_rows))

    def _split(self, category: int) -> tuple[list[int], list[int]]:
        """Return the versions of the rows in a category, and the newest ones of those that may be there."""
        begun = self.ledger.begun()
        settled = {row: (had, its_category) for row, had, its_category in self._settled(begun)}
        inside = [had for had, its_category in settled.values() if its_category == category]
        return inside, [version for row, version in enumerate(begun) if row not in settled]

    def _settled(self, begun: Iterable[int]) -> Iterator[tuple[int, int, int]]:
        for row, (note, version) in enumerate(zip(self.returned, begun, strict=True)):
            had, category = divmod(note, CATEGORIES_AT_MOST)
            if had == version:
                yield row, had, category

    def _between(self, what: str, category: int, answer: int, low: int, high: int) -> str | None:
        if low <= answer <= high:
            return None
        return f"{what} of category {category} is {answer}, not between {low} and {high}"
