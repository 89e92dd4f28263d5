"""The same pages without the cache, with an empty one, and with a warm one."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

from django.db.models import Count
from django.test import override_settings
from rich.console import Console
from rich.table import Table

from airports import pages
from airports.models import Airport, Country
from airports.watching import Look, watched
from cacheops import invalidate_all
from cacheops_core.testing import count_round_trips
from cacheops_django import caches

ROUNDS = 5
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Visit:
    """One round through the pages."""

    looks: list[Look]
    round_trips: int

    @property
    def milliseconds(self) -> float:
        return sum(look.milliseconds for look in self.looks)

    @property
    def cpu(self) -> float:
        return sum(look.cpu for look in self.looks) * 1000

    @property
    def statements(self) -> int:
        return sum(look.statements for look in self.looks)


def show(console: Console) -> bool:
    """Print what each query took, and return whether the warm cache answered all of them alone."""
    country = Country.objects.annotate(number=Count("airports")).order_by("-number")[0]
    airport = Airport.objects.filter(country=country)[0]

    def visit() -> Visit:
        with count_round_trips(caches.current().driver.client) as trips, watched() as looks:
            pages.country(country.code)
            pages.airport(airport.icao)
        return Visit(looks, trips.count)

    visit()  # imports what Django and SQLite import late
    with override_settings(CACHEOPS_ENABLED=False):
        without = [visit() for _ in range(ROUNDS)]
    cold = [emptied(visit) for _ in range(ROUNDS)]
    hot = [visit() for _ in range(ROUNDS)]
    console.print(table_of(f"The pages of {country} and of {airport}", without, cold, hot))
    return all(visit.statements == 0 for visit in hot) and hot[0].round_trips > 0 == without[0].round_trips


def emptied(function: Callable[[], T]) -> T:
    """Call a function with an empty cache."""
    invalidate_all()
    return function()


def table_of(title: str, *runs: list[Visit]) -> Table:
    """Return the medians of several rounds: a row for each query, a column for each way."""
    table = Table(title=title, title_justify="left", show_footer=False)
    table.add_column("milliseconds for ...")
    for way in "no cache", "cold cache", "hot cache":
        table.add_column(way, justify="right")
    for number, look in enumerate(runs[0][0].looks):
        times = [median(visit.looks[number].milliseconds for visit in visits) for visits in runs]
        table.add_row(look.words, *(f"{time:.2f}" for time in times))
    table.add_section()
    table.add_row("all of it", *(f"{median(visit.milliseconds for visit in visits):.2f}" for visits in runs))
    table.add_row("of that, CPU", *(f"{median(visit.cpu for visit in visits):.2f}" for visits in runs))
    table.add_row("queries to the database", *(f"{visits[0].statements}" for visits in runs))
    table.add_row("round trips to the cache", *(f"{visits[0].round_trips}" for visits in runs))
    return table
