"""What the dashboard shows, put together from what all processes have counted and what the server says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from django.apps import apps
from django.db.models import Model
from django.utils import timezone

from cacheops_core.errors import BackendError
from cacheops_django import caches, conf, count_reports, doctor, shared_counters
from cacheops_django.count_reports import Figures, Query, by
from cacheops_django.counters import Counts
from cacheops_django.doctor_server import Finding, info_of
from cacheops_django.reasons import KINDS
from cacheops_django.words import duration, size

from .charts import Bars, Heat, bars, heat, spark

__all__ = ["SPANS", "Report", "Span", "cached_models", "report"]

MOST_MODELS = 50
MOST_QUERIES = 10

LESS_THAN_WASTE = 2
"""Misses of a query up to which nobody can say that caching it is a waste."""


class Span(NamedTuple):
    """A time that can be looked at, in so many steps."""

    name: str
    words: str
    number: int
    is_minutes: bool
    clock: str
    """How the beginning of a step is written."""


SPANS = {
    span.name: span
    for span in (
        Span("hour", "the last hour", 60, True, "%H:%M"),
        Span("day", "the last day", 24, False, "%H:%M"),
        Span("week", "the last week", 7 * 24, False, "%a %H:%M"),
    )
}


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One model, and what came of asking for it."""

    name: str
    rate: str
    spark: str
    lookups: str
    saved: str
    spent: str
    bypasses: str


@dataclass(frozen=True, slots=True)
class QueryRow:
    """One query, or function, and what came of asking for it."""

    what: str
    op: str
    model: str
    rate: str
    lookups: str
    saved: str
    spent: str


@dataclass(frozen=True, slots=True)
class BypassRow:
    """Why something was not cached, and what to do."""

    model: str
    op: str
    times: str
    words: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Memory:
    """What the server holds."""

    used: str
    most: str
    """Empty if there is no limit."""
    share: str
    """The part of it that is used, in percent of the bar's width."""
    evicted: str


@dataclass(slots=True)
class Report:
    """All that the page shows; what could not be found out is left as it is here."""

    span: Span
    is_shared: bool = True
    """Whether processes tell what they count."""
    error: str = ""
    """Why there is nothing to show."""
    total: Figures = field(default_factory=Figures)
    tiles: Sequence[tuple[str, str, str]] = ()
    """Title, value and a remark."""
    lookups: Bars | None = None
    models: Sequence[ModelRow] = ()
    heats: Sequence[Heat] = ()
    busiest: Sequence[QueryRow] = ()
    wasteful: Sequence[QueryRow] = ()
    bypasses: Sequence[BypassRow] = ()
    memory: Memory | None = None
    findings: Sequence[Finding] = ()
    """What is not well."""

    @property
    def is_empty(self) -> bool:
        """Whether nobody has asked for anything that could be cached."""
        return not (self.total.lookups or self.total.bypasses)


def report(span: Span, *, with_findings: bool) -> Report:
    """Return what there is to show of a span of time. What is not well may quote the settings: not for everybody."""
    found = Report(span, is_shared=conf.current().counters_every is not None)
    if with_findings:
        found.findings = [finding for finding in doctor.examine() if finding.level in ("warning", "error")]
    try:
        # What this process has counted is shown without delay.
        shared_counters.publish()
        buckets = (count_reports.minutes if span.is_minutes else count_reports.hours)(span.number)
        _fill(found, buckets, count_reports.queries())
        found.memory = _memory()
    except BackendError as error:
        found.error = str(error)
    return found


def _fill(found: Report, buckets: list[tuple[int, Counts]], queries: list[Query]) -> None:
    times = [_clock(began, found.span) for began, _ in buckets]
    steps = [by(counts, _whole).get((), Figures()) for _, counts in buckets]
    summed: Counts = {}
    for _, counts in buckets:
        for name, number in counts.items():
            summed[name] = summed.get(name, 0) + number
    found.total = by(summed, _whole).get((), Figures())
    found.lookups = bars(times, steps)
    of_models = by(summed, _model)
    per_step = [by(counts, _model) for _, counts in buckets]
    busy = sorted(of_models, key=lambda model: -of_models[model].lookups)[:MOST_MODELS]
    found.models = [
        _model_row(name, of_models[name,], [step.get((name,), Figures()) for step in per_step])
        for (name,) in busy
        if of_models[name,].lookups
    ]
    cached = {"", *(model._meta.label for model in cached_models())}
    # What nobody caches is dropped at no cost to anybody.
    hot = sorted(of_models, key=lambda model: -of_models[model].drops.total())[:MOST_MODELS]
    most = max((one.drops.total() for step in per_step for one in step.values()), default=0)
    found.heats = [
        heat(name or "everything", times, [step.get((name,), Figures()) for step in per_step], most)
        for (name,) in hot
        if of_models[name,].drops and (name in cached or of_models[name,].lookups)
    ]
    found.busiest = _rows(sorted(queries, key=lambda query: -query.figures.lookups))
    found.wasteful = _rows(sorted(filter(_is_waste, queries), key=lambda query: -query.figures.spent))
    found.bypasses = [*_bypasses(summed)]
    found.tiles = _tiles(found)


def cached_models() -> list[type[Model]]:
    """Return the models that have a profile, in order."""
    settings = conf.current()
    models = apps.get_models(include_auto_created=True)
    found = [model for model in models if settings.profile_for(model) is not None]
    return sorted(found, key=lambda model: model._meta.label)


def _whole(model: str, op: str) -> tuple[str, ...]:
    return ()


def _model(model: str, op: str) -> tuple[str, ...]:
    return (model,)


def _is_waste(query: Query) -> bool:
    figures = query.figures
    return figures.misses > LESS_THAN_WASTE and figures.spent > figures.saved


def _tiles(found: Report) -> list[tuple[str, str, str]]:
    total, busy = found.total, len(found.models)
    return [
        ("Hit rate", _rate(total), f"in {found.span.words}"),
        ("Lookups", f"{total.lookups:,}", f"of {busy} model{'' if busy == 1 else 's'}"),
        ("Time saved", duration(total.saved), f"{duration(total.spent)} spent on misses"),
        ("Invalidations", f"{total.drops.total():,}", "transactions that dropped something"),
        ("Not cached", f"{total.bypasses.total():,}", "for a reason that is told below"),
    ]


def _model_row(name: str, figures: Figures, steps: list[Figures]) -> ModelRow:
    return ModelRow(
        name or "functions and views",
        _rate(figures),
        spark(steps),
        f"{figures.lookups:,}",
        duration(figures.saved),
        duration(figures.spent),
        f"{figures.bypasses.total():,}",
    )


def _rows(queries: Iterable[Query]) -> list[QueryRow]:
    return [
        QueryRow(
            query.what or "others, which are not told apart",
            query.op,
            query.model or "no model",
            _rate(query.figures),
            f"{query.figures.lookups:,}",
            duration(query.figures.saved),
            duration(query.figures.spent),
        )
        for query, _ in zip(queries, range(MOST_QUERIES), strict=False)
    ]


def _bypasses(counts: Counts) -> list[BypassRow]:
    rows = [
        (number, model, op, kind)
        for (model, op), figures in by(counts, lambda model, op: (model, op)).items()
        for kind, number in figures.bypasses.items()
    ]
    return [
        BypassRow(model, op, f"{number:,}", *(text.replace("`", "") for text in KINDS.get(kind, (kind, ""))))
        for number, model, op, kind in sorted(rows, reverse=True)
    ]


def _memory() -> Memory | None:
    try:
        told = info_of(caches.of_counters())
    except BackendError:
        # The server may forbid that, and work.
        return None
    used, most = told.number("used_memory"), told.number("maxmemory")
    share = min(100 * used / most, 100) if most else 0
    evicted = told.number("evicted_keys")
    return Memory(size(used), size(most) if most else "", f"{share:.1f}", f"{evicted:,}" if evicted else "")


def _rate(figures: Figures) -> str:
    return "none" if figures.hit_rate is None else f"{figures.hit_rate:.0%}"


def _clock(began: int, span: Span) -> str:
    moment = datetime.fromtimestamp(began, UTC)
    return timezone.localtime(moment).strftime(span.clock)
