"""What happened, counted in shared memory, so that a process that is killed takes none of it with it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from ctypes import c_int64
from dataclasses import dataclass, field
from multiprocessing.sharedctypes import RawArray
from pathlib import Path
from typing import Any

KINDS = ("reads", "writes", "hits", "misses", "stale", "within bound", "refused", "conflicts", "exceptions")
"""*within bound*: stale, but no older than is promised for the time of a fault. *refused*: a read or a write that
was told that the server is away, before anything was done. *conflicts*: the database ended one of two transactions."""

LATEST = "milliseconds after a fault"
"""How long after the end of a fault the last read within the bound began."""

EXAMPLES = 5
"""Stale reads and exceptions of each process that are kept in words."""

EXAMPLES_TOLD = 3
"""Of all processes, so many are printed."""

LENGTH = 1500
"""Characters of an example that are kept, from its end."""


class Tally:
    """The counts of all processes."""

    def __init__(self, ways: Sequence[str], players: int, folder: Path) -> None:
        self.names = (*KINDS, LATEST, *ways)
        self.players = players
        self._folder = folder
        self._counts: Any = RawArray(c_int64, players * len(self.names))

    def of(self, player: int) -> "Counts":
        """Return the counts of one process."""
        return Counts(self, player)

    def total(self) -> Counter[str]:
        """Return the sums over all processes."""
        values = self._counts[:]
        width = len(self.names)
        found = Counter({name: sum(values[n::width]) for n, name in enumerate(self.names)})
        found[LATEST] = max(values[self.names.index(LATEST) :: width])
        return found

    def examples(self) -> list[str]:
        """Return stale reads and exceptions in words."""
        return [path.read_text() for path in sorted(self._folder.iterdir())]

    def raise_to(self, player: int, name: str, number: int) -> None:
        """Let a count be at least so much."""
        place = player * len(self.names) + self.names.index(name)
        self._counts[place] = max(self._counts[place], number)

    def add(self, player: int, name: str, number: int) -> None:
        """Add to a count."""
        self._counts[player * len(self.names) + self.names.index(name)] += number

    def tell(self, player: int, text: str) -> None:
        """Keep an example, unless there are enough."""
        mine = [path for path in self._folder.iterdir() if path.name.startswith(f"{player}-")]
        if len(mine) < EXAMPLES:
            (self._folder / f"{player}-{len(mine)}").write_text(text[-LENGTH:])


@dataclass(frozen=True, slots=True)
class Counts:
    """The counts that one process writes."""

    tally: Tally
    player: int

    def add(self, name: str, number: int = 1) -> None:
        """Add to a count."""
        self.tally.add(self.player, name, number)

    def raise_to(self, name: str, number: int) -> None:
        """Let a count be at least so much."""
        self.tally.raise_to(self.player, name, number)

    def tell(self, text: str) -> None:
        """Keep an example."""
        self.tally.tell(self.player, text)


@dataclass(slots=True, kw_only=True)
class Report:
    """What came out of one scenario."""

    scenario: str
    place: str
    """The database and the server."""
    seconds: float
    counts: Mapping[str, int]
    faults: Counter[str] = field(default_factory=Counter)
    """How often each kind of fault was injected."""
    examples: list[str] = field(default_factory=list)

    @property
    def operations(self) -> int:
        """Reads and writes that were asked for."""
        return self.counts["reads"] + self.counts["writes"]

    @property
    def stale(self) -> int:
        """Reads that broke the promise."""
        return self.counts["stale"]

    @property
    def exceptions(self) -> int:
        """What should not have been raised."""
        return self.counts["exceptions"]

    @property
    def hit_rate(self) -> float:
        """The share of the answers that came from the cache."""
        return self.counts["hits"] / max(1, self.counts["hits"] + self.counts["misses"])

    def __str__(self) -> str:
        return (
            f"{self.seconds:.0f} s: {self.operations:,} operations, {self.hit_rate:.0%} hits, "
            f"{self.faults.total()} faults, {self.stale} stale, {self.exceptions} exceptions"
        )

    def details(self) -> str:
        """Say how often each thing was done, and what was wrong."""
        told = [f"  {name}: {number}" for name, number in {**self.counts, **self.faults}.items() if number]
        return "\n".join([f"{self.scenario} on {self.place}", *told, *self.examples[:EXAMPLES_TOLD]])


HEADINGS = ("scenario", "on", "operations", "hits", "faults", "within bound", "stale", "exceptions")


def table(reports: Sequence[Report]) -> list[str]:
    """Return the lines of the closing table."""
    rows = [HEADINGS, *map(_cells, reports)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = [
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return [lines[0], "-" * len(lines[0]), *lines[1:]]


def _cells(report: Report) -> tuple[str, ...]:
    within = report.counts["within bound"]
    latest = f" (to {report.counts[LATEST] / 1000:.1f} s)" if report.counts[LATEST] else ""
    return (
        *(report.scenario, report.place, f"{report.operations:,}", f"{report.hit_rate:.0%}"),
        *(f"{report.faults.total():,}", f"{within:,}{latest}", f"{report.stale:,}", f"{report.exceptions:,}"),
    )
