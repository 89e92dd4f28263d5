"""Loads the airports of the package `airportsdata` into the database, once."""

from collections.abc import Collection, Iterable, Iterator
from itertools import islice

import airportsdata
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import transaction
from django.db.models import Model
from iso3166 import countries_by_alpha2
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from .models import Airport, Country, Kind

KINDS = (
    "Air Base", "Airpark", "Farm", "Fazenda", "Heliport", "International", "Memorial", "Municipal", "Ranch",
    "Regional", "Seaplane",
)  # fmt: skip
"""Words that tell in an airport's name what it is."""

BATCH = 1_000

NAME = PASSWORD = "demo"
"""By which one logs in, to see the dashboard."""


def ensure_loaded(console: Console, only: Collection[str] = ()) -> int:
    """Make the tables and load the airports, all or those of some countries, unless there are some already.

    Returns how many there are. A load that is stopped half way leaves nothing behind.
    """
    call_command("migrate", verbosity=0)
    with transaction.atomic():
        if not Airport.objects.nocache().exists():
            rows = airportsdata.load("ICAO").values()
            load([row for row in rows if not only or row["country"] in only], console)
        if not User.objects.filter(username=NAME).exists():
            User.objects.create_superuser(NAME, password=PASSWORD)
    return Airport.objects.count()


def load(rows: Collection[airportsdata.Airport], console: Console) -> None:
    """Fill the tables from the rows of `airportsdata`, with a progress bar."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console) as progress:
        codes = {row["country"] for row in rows}
        create(progress, "countries", [Country(code, country_name(code)) for code in sorted(codes)])
        kinds = {name: Kind(name=name) for name in KINDS}
        create(progress, "kinds", list(kinds.values()))
        create(progress, "airports", [airport(row) for row in rows])
        create(progress, "their kinds", list(kinds_of(rows, kinds)))


def create(progress: Progress, words: str, objects: Collection[Model]) -> None:
    """Insert objects of one model, a batch at a time."""
    waiting = iter(objects)
    task = progress.add_task(f"Loading {words}", total=len(objects))
    while batch := list(islice(waiting, BATCH)):
        type(batch[0])._default_manager.bulk_create(batch)
        progress.advance(task, len(batch))


def kinds_of(rows: Iterable[airportsdata.Airport], kinds: dict[str, Kind]) -> Iterator[Model]:
    """Yield which airport is of which kind, going by their names."""
    for row in rows:
        for name, kind in kinds.items():
            if name in row["name"]:
                yield Airport.kinds.through(airport_id=row["icao"], kind=kind)


def country_name(code: str) -> str:
    """Return a country's name as one would say it, or its code if the standard has no name for it."""
    country = countries_by_alpha2.get(code)
    return country.apolitical_name if country else code


def airport(row: airportsdata.Airport) -> Airport:
    """Return an airport made of a row of `airportsdata`."""
    return Airport(
        icao=row["icao"],
        iata=row["iata"],
        name=row["name"],
        city=row["city"],
        region=row["subd"],
        country_id=row["country"],
        elevation=round(row["elevation"]),
        lat=row["lat"],
        lon=row["lon"],
        timezone=row["tz"],
    )
