"""The counters as metrics: what they are called, whoever exports them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

from cacheops_core.errors import BackendError
from cacheops_django import count_reports, counters
from cacheops_django.counters import Counts

__all__ = ["METRICS", "Metric", "Sample", "counts", "samples"]

log: logging.Logger = logging.getLogger("cacheops")


@dataclass(frozen=True, slots=True)
class Metric:
    """A number that only grows."""

    name: str
    words: str
    labels: tuple[str, ...]
    unit: str
    """"seconds", or what is counted."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The value of a metric for one set of labels."""

    labels: tuple[str, ...]
    value: float


_OF_WHAT = ("model", "op")
METRICS = (
    Metric(
        "lookups", "Questions to the cache, by whether it had the answer", (*_OF_WHAT, "result"), "lookup"
    ),
    Metric("fills", "Answers that were computed and stored", _OF_WHAT, "fill"),
    Metric("bypasses", "Questions that went past the cache, by reason", (*_OF_WHAT, "reason"), "question"),
    Metric(
        "invalidations",
        "Transactions that dropped what depends on a model",
        ("model", "scope"),
        "transaction",
    ),
    Metric("computing", "Time that answers took which the cache did not have", _OF_WHAT, "seconds"),
    Metric("saved", "Time that hits have saved, at the average of the misses", _OF_WHAT, "seconds"),
)


def counts(*, shared: bool) -> Counts:
    """Return what this process has counted, or all processes have; nothing if the server does not say."""
    if not shared:
        return counters.collect()
    try:
        return count_reports.totals()
    except BackendError as error:
        log.warning("There are no shared counts to export: %s", error)
        return {}


def samples(counts: Counts) -> Iterator[tuple[str, Sample]]:
    """Yield the values with the names of their metrics."""
    for (model, op, name), number in counts.items():
        kind, _, of = name.partition(":")
        if kind in _RESULTS:
            yield "lookups", Sample((model, op, _RESULTS[kind]), number)
        elif kind == "fills":
            yield "fills", Sample((model, op), number)
        elif kind == "bypass":
            yield "bypasses", Sample((model, op, of), number)
        elif kind == "drop":
            yield "invalidations", Sample((model, of), number)
        elif kind in _TIMES:
            yield _TIMES[kind], Sample((model, op), number / 1e6)


_RESULTS = {"hits": "hit", "misses": "miss"}
_TIMES = {"spent": "computing", "saved": "saved"}
