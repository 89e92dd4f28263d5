"""One airport changes: which cached queries that drops, and which it leaves."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.models import Avg, Max
from rich.console import Console
from rich.table import Table

from airports.models import Airport, Country
from airports.tour.akureyri import borrowed
from airports.watching import Look, watch


@dataclass(frozen=True, slots=True)
class Query:
    """A query, and what moving Akureyri from Iceland to Norway has to do with it."""

    words: str
    ask: Callable[[], Any]
    can_change: bool
    why: str


AIRPORTS = Airport.objects
QUERIES = (
    Query("Akureyri", lambda: AIRPORTS.get(icao="BIAR"), True, "it is the row"),
    Query("airports of Iceland", lambda: list(AIRPORTS.filter(country="IS")), True, "it was one of them"),
    Query("airports of Norway", lambda: list(AIRPORTS.filter(country="NO")), True, "it is one of them now"),
    Query("how many Norway has", lambda: AIRPORTS.filter(country="NO").count(), True, "one more"),
    Query(
        "mean elevation in Iceland", lambda: AIRPORTS.filter(country="IS").aggregate(Avg("elevation")), True,
        "one less",
    ),
    Query(
        "airports called Akureyri, with country",
        lambda: list(AIRPORTS.filter(name="Akureyri Airport").select_related("country")), True,
        "it has that name",
    ),
    Query("the highest of all", lambda: AIRPORTS.aggregate(Max("elevation")), True, "any row may be the highest"),
    Query("Keflavik", lambda: AIRPORTS.get(icao="BIKF"), False, "another row"),
    Query("airports of Sweden", lambda: list(AIRPORTS.filter(country="SE")), False, "never one of them"),
    Query("whether Sweden has any", lambda: AIRPORTS.filter(country="SE").exists(), False, "never one of them"),
    Query(
        "Iceland's in the time zone of Oslo",
        lambda: list(AIRPORTS.filter(country="IS", timezone="Europe/Oslo")), False,
        "it meets one condition, not both",
    ),
    Query("Iceland", lambda: Country.objects.get(code="IS"), False, "another table"),
    Query("kinds of Keflavik", lambda: list(Airport(icao="BIKF").kinds.all()), False, "other tables"),
)  # fmt: skip


def show(console: Console) -> bool:
    """Print what becomes of each query, and return whether that is what can change, and nothing else."""
    with borrowed() as akureyri:
        for query in QUERIES:
            query.ask()
        before = [look_at(query) for query in QUERIES]
        with watch("the change") as change:
            akureyri.country_id = "NO"
            akureyri.save()
        after = [look_at(query) for query in QUERIES]
    console.print(table_of(change, before, after))
    return all(look.source == "hit" for look in before) and all(
        (look.source == "miss") == query.can_change for query, look in zip(QUERIES, after, strict=True)
    )


def look_at(query: Query) -> Look:
    with watch(query.words) as look:
        query.ask()
    return look


def table_of(change: Look, before: list[Look], after: list[Look]) -> Table:
    """Return what was cached before the change and is cached after it."""
    table = Table(title=f"Akureyri is moved ({', '.join(change.changes())})", title_justify="left")
    for column in "query", "before", "after", "why":
        table.add_column(column)
    told = {"hit": "[green]left[/]", "miss": "[yellow]dropped[/]", "database": "[red]not cached[/]"}
    for query, old, new in zip(QUERIES, before, after, strict=True):
        is_cached = "cached" if old.source == "hit" else "[red]not cached[/]"
        table.add_row(query.words, is_cached, told[new.source], query.why)
    return table
