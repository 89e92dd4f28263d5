"""What the cache has done lately, put together for a terminal or a program: `manage.py cacheops stats`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from . import count_reports
from .count_reports import Figures, Query, by
from .counters import Counts
from .reasons import KINDS
from .words import duration

__all__ = ["Stats", "Table", "gather", "tables"]

MOST_QUERIES = 15


@dataclass(frozen=True, slots=True)
class Stats:
    """What was counted by all processes in some time."""

    span: str
    """Such as "the last 60 minutes"."""
    counts: Counts
    queries: Sequence[Query]
    """What was asked most in the last 24 hours, what saved most first; empty unless asked for."""

    def as_data(self) -> dict[str, Any]:
        """Return it as plain values, for JSON."""
        return {
            "span": self.span,
            "models": [
                {"model": model, "op": op, **_data(figures)}
                for (model, op), figures in by(self.counts, lambda model, op: (model, op)).items()
            ],
            "queries": [
                {"model": query.model, "op": query.op, "query": query.what, **_data(query.figures)}
                for query in self.queries
            ],
        }


@dataclass(frozen=True, slots=True)
class Table:
    """Rows to print, the first column to the left, numbers to the right."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    texts: int = 1
    """How many columns are texts; the others are numbers."""
    last_is_text: bool = False

    def is_text(self, column: int) -> bool:
        """Tell whether a column holds texts."""
        return column < self.texts or (self.last_is_text and column == len(self.columns) - 1)

    def __str__(self) -> str:
        lines = [self.columns, *self.rows]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.columns))]
        return "\n".join([self.title, "", *(self._line(line, widths) for line in lines)])

    def _line(self, line: Sequence[str], widths: Sequence[int]) -> str:
        cells = [
            text.ljust(width) if self.is_text(column) else text.rjust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        ]
        return ("  " + "  ".join(cells)).rstrip()


def gather(*, minutes: int | None = 60, with_queries: bool = False) -> Stats:
    """Return what was counted in the last minutes, or in all if that is None."""
    if minutes is None:
        span, counts = "all time", count_reports.totals()
    else:
        # Minutes are kept for two hours; of more, it is whole hours.
        is_long = minutes > 2 * 60
        number = -(-minutes // 60) if is_long else minutes
        span = f"the last {number} {'hour' if is_long else 'minute'}{'' if number == 1 else 's'}"
        buckets = count_reports.hours(number) if is_long else count_reports.minutes(number)
        summed: Counter[tuple[str, str, str]] = Counter()
        for _, counted in buckets:
            summed.update(counted)
        counts = dict(summed)
    queries = sorted(count_reports.queries(), key=_weight)[:MOST_QUERIES] if with_queries else []
    return Stats(span, counts, queries)


def tables(stats: Stats) -> list[Table]:
    """Return what there is to tell; no table that would be empty."""
    models = by(stats.counts, lambda model, op: (model, op))
    found = [
        Table(
            f"What was asked, in {stats.span}",
            ("model", "op", "lookups", "hits", "rate", "fills", "database took", "hits saved"),
            [_of_model(model, op, figures) for (model, op), figures in models.items() if figures.lookups],
            texts=2,
        ),
        Table(
            "What was not cached, and why",
            ("model", "op", "reason", "times", ""),
            [
                (model, op, kind, f"{number:,}", KINDS[kind].words if kind in KINDS else "")
                for (model, op), figures in models.items()
                for kind, number in figures.bypasses.most_common()
            ],
            texts=3,
            last_is_text=True,
        ),
        Table(
            "What transactions have dropped",
            ("model", "for some rows", "for all rows"),
            [
                (model or "everything", *(f"{number:,}" for number in _dropped(figures)))
                for (model,), figures in by(stats.counts, lambda model, op: (model,)).items()
                if figures.drops
            ],
        ),
        Table(
            "What was asked most, in 24 hours",
            ("lookups", "rate", "database took", "hits saved", "op", "query"),
            [_of_query(query) for query in stats.queries],
            texts=0,
            last_is_text=True,
        ),
    ]
    return [table for table in found if table.rows]


def _of_model(model: str, op: str, figures: Figures) -> tuple[str, ...]:
    return (
        model or "-",
        op,
        f"{figures.lookups:,}",
        f"{figures.hits:,}",
        _rate(figures),
        f"{figures.fills:,}",
        duration(figures.spent),
        duration(figures.saved),
    )


def _of_query(query: Query) -> tuple[str, ...]:
    figures = query.figures
    took, saved = duration(figures.spent), duration(figures.saved)
    return (
        f"{figures.lookups:,}",
        _rate(figures),
        took,
        saved,
        query.op,
        query.what or f"others of {query.model}",
    )


def _rate(figures: Figures) -> str:
    return "-" if figures.hit_rate is None else f"{figures.hit_rate:.0%}"


def _dropped(figures: Figures) -> tuple[int, int]:
    return figures.drops["rows"], figures.drops["table"] + figures.drops["all"]


def _weight(query: Query) -> float:
    return -(query.figures.spent + query.figures.saved)


def _data(figures: Figures) -> dict[str, Any]:
    return {
        "hits": figures.hits,
        "misses": figures.misses,
        "hit_rate": figures.hit_rate,
        "fills": figures.fills,
        "seconds_spent": figures.spent,
        "seconds_saved": figures.saved,
        "bypasses": dict(figures.bypasses),
        "drops": dict(figures.drops),
    }
