"""The table that is printed, a line as soon as it is known, and what is said below it."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from django_tests.known import reason
from django_tests.reports import Difference

HEADINGS = ("tests", "reads", "hits", "differ", "unknown")

WIDTH = 9


@dataclass(frozen=True, slots=True)
class Row:
    """What came of one module."""

    label: str
    tests: int = 0
    reads: int = 0
    """Reads that were compared with the database."""
    hits: int = 0
    differing: list[Difference] = field(default_factory=list)
    """Tests that came out otherwise than without the cache."""
    problem: str = ""
    """Why nothing is known of the module's tests."""

    @property
    def unknown(self) -> list[Difference]:
        """Those of which it is not known why."""
        return [one for one in self.differing if reason(one) is None]

    @property
    def counts(self) -> tuple[int, ...]:
        """What stands in the table's columns."""
        return self.tests, self.reads, self.hits, len(self.differing), len(self.unknown)


class Table:
    """What came of all modules so far."""

    def __init__(self, labels: Sequence[str]) -> None:
        self._width = max(map(len, [*labels, "module"]))
        self._rows: list[Row] = []
        heading = self._line("module", HEADINGS)
        print(f"{heading}\n{'-' * len(heading)}", flush=True)

    @property
    def is_bad(self) -> bool:
        """Whether anything differs that is not known to."""
        return any(row.problem or row.unknown for row in self._rows)

    def begin(self, label: str) -> None:
        """Show on a terminal what is being run."""
        if sys.stdout.isatty():
            print(f"{label} ...", end="\r", flush=True)

    def add(self, row: Row) -> None:
        """Print what came of a module."""
        self._rows.append(row)
        print(self._line(row.label, ["failed"] if row.problem else row.counts), flush=True)

    def conclusion(self) -> str:
        """Return the sums, and in words what differs."""
        sums = [sum(numbers) for numbers in zip(*(row.counts for row in self._rows), strict=True)]
        total = self._line("all", sums)
        return "\n".join(["-" * len(total), total, *self._known(), *self._unknown()])

    def _known(self) -> list[str]:
        differing = [one for row in self._rows for one in row.differing]
        told = [f"  {one.test} {why}" for one in differing if (why := reason(one))]
        return ["\nThese differ, and have to:", *told] if told else []

    def _unknown(self) -> list[str]:
        told = [f"\n{one}\n{one.detail}" for row in self._rows for one in row.unknown]
        problems = [f"\n{row.problem}" for row in self._rows if row.problem]
        return ["\nThese differ, and should not:", *told, *problems] if told or problems else []

    def _line(self, label: str, cells: Sequence[object]) -> str:
        told = [f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in cells]
        return label.ljust(self._width) + "".join(cell.rjust(WIDTH) for cell in told)
