"""What was measured, and what follows from it: medians, what is beyond no cache, ratios with their spread."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from statistics import median, quantiles
from typing import Any

from .operations import Operation

BASE = "none"
"""The contender without a cache."""

RIVAL = "7.2"
"""The contender that ours are compared with."""


MOST_TIMES = 100
"""The largest ratio that is shown."""


@dataclass(slots=True)
class Series:
    """An operation of one contender, slice by slice, in microseconds per call."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    trips: float | None = None
    """Round trips per call."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A median, and between what the middle half of the slices lies."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        """Return that of some values, one at least."""
        if len(values) < 2:
            return cls(values[0], values[0], values[0])
        low, middle, high = quantiles(values, n=4, method="inclusive")
        return cls(middle, low, high)


@dataclass(slots=True)
class Result:
    """An operation of all contenders, whose slices of one round belong together."""

    operation: Operation
    series: dict[str, Series] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    """Why a contender has no series: it does not do this, or does it wrong."""

    def extra(self, contender: str, clock: str = "cpu") -> list[float]:
        """Return what each call costs; of what is no read, what it costs beyond the same without a cache."""
        own = getattr(self.series[contender], clock)
        if self.operation.kind == "read" or contender == BASE or BASE not in self.series:
            return list(own)
        return [mine - base for mine, base in zip(own, getattr(self.series[BASE], clock), strict=True)]

    def cost(self, contender: str, clock: str = "cpu") -> float:
        """Return the median of these."""
        return median(self.extra(contender, clock))

    def ratio(self, contender: str, rival: str = RIVAL, clock: str = "cpu") -> Spread | None:
        """Return how many times the cost of a contender another's is; None if one of them was not measured."""
        if contender not in self.series or rival not in self.series:
            return None
        pairs = zip(self.extra(rival, clock), self.extra(contender, clock), strict=True)
        # What costs nothing that can be told from the noise would otherwise be infinitely cheap.
        return Spread.of([theirs / max(mine, theirs / MOST_TIMES, 0.01) for theirs, mine in pairs])

    def is_met(self, contender: str) -> bool | None:
        """Tell whether a contender is where it is to get; None if there is no such place."""
        goal, ratio = self.operation.goal(contender), self.ratio(contender)
        if goal is None or ratio is None:
            return None
        trips = self.series[contender].trips
        return (
            ratio.median >= goal.times
            and (goal.below is None or self.cost(contender) < goal.below)
            and (goal.most_trips is None or trips is None or trips <= goal.most_trips)
        )


@dataclass(slots=True)
class Report:
    """All that one run has measured."""

    about: dict[str, Any]
    """When, on what, and with which versions."""

    results: list[Result] = field(default_factory=list)
    bytes_per_entry: dict[str, dict[str, float]] = field(default_factory=dict)
    imports: dict[str, Series] = field(default_factory=dict)
    hits: dict[int, dict[str, float]] = field(default_factory=dict)
    """Hits per second by the number of client processes."""
    mistakes: list[str] = field(default_factory=list)
    """Wrong answers, and operations that have failed."""

    def as_json(self) -> dict[str, Any]:
        """Return everything, slices included, as JSON takes it."""
        return asdict(self) | {"results": [self._result(result) for result in self.results]}

    def _result(self, result: Result) -> dict[str, Any]:
        found: dict[str, Any] = {"operation": result.operation.name, "absent": result.absent}
        for contender, series in result.series.items():
            found[contender] = {
                "cpu": median(series.cpu),
                "wall": median(series.wall),
                "extra_cpu": result.cost(contender),
                "extra_wall": result.cost(contender, "wall"),
                "trips": series.trips,
                "slices": {"cpu": series.cpu, "wall": series.wall},
            }
            if (ratio := result.ratio(contender)) is not None:
                found[contender] |= {"ratio": asdict(ratio), "is_met": result.is_met(contender)}
        return found
