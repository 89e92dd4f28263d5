"""Two processes, one writing again and again and one reading as fast as it can: how many reads are stale?

Staleness is measured without the cache. An airport's elevation is the number of its version, and the writer says in
shared memory which version it is about to save, and, once ``save()`` has returned, which one is saved. The reader
looks there right before and right after each read: what it has read in between must be the version that was saved
before the read began, or a later one, up to the one that was begun when the read ended.

Even versions are in Iceland, odd ones in Norway, so that with each write the airport leaves one list for another. It
is never in Sweden, whose list has to stay in the cache meanwhile.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Barrier, Event
from typing import TYPE_CHECKING

import django
from rich.console import Console
from rich.live import Live
from rich.table import Table

if TYPE_CHECKING:
    from airports.models import Airport

HOMES = "IS", "NO"
ELSEWHERE = "SE"
CITY = "Akureyri"
START_SECONDS = 60
PAUSE_SECONDS = 0.02
"""How long the writer rests between two writes: as long as a page that is edited this often would be unusual."""
IN_A_ROW = 10
"""How often each query is asked before the next one, so that some answers can come from the cache."""

# A process of its own from the beginning, as web workers are; a fork would share this one's state.
processes = multiprocessing.get_context("spawn")


def counter() -> Synchronized[int]:
    return processes.Value("q", 0)


@dataclass(slots=True)
class Tally:
    """What has become of the reads of one sort."""

    reads: Synchronized[int] = field(default_factory=counter)
    hits: Synchronized[int] = field(default_factory=counter)
    stale: Synchronized[int] = field(default_factory=counter)


@dataclass(slots=True)
class Board:
    """What the two processes and the one that watches them share."""

    begun: Synchronized[int] = field(default_factory=counter)
    """The version that is being saved, or has been."""
    saved: Synchronized[int] = field(default_factory=counter)
    """The version with which ``save()`` has returned last."""
    changed: Tally = field(default_factory=Tally)
    """Reads of what each write changes."""
    unchanged: Tally = field(default_factory=Tally)
    """Reads of what no write changes."""
    start: Barrier = field(default_factory=lambda: processes.Barrier(3))
    is_over: Event = field(default_factory=processes.Event)


def show(console: Console, seconds: float) -> bool:
    """Print what the two did in so many seconds, and return whether all went well and no read was stale."""
    from airports.tour.akureyri import borrowed

    board = Board()
    workers = [processes.Process(target=run, args=(board,), daemon=True) for run in (write, read)]
    with borrowed():
        for worker in workers:
            worker.start()
        board.start.wait(START_SECONDS)
        watch_board(console, board, seconds)
        for worker in workers:
            worker.join(START_SECONDS)
    has_run = all(worker.exitcode == 0 for worker in workers) and board.saved.value > 0
    tallies = board.changed, board.unchanged
    return has_run and all(tally.stale.value == 0 < tally.reads.value for tally in tallies)


def watch_board(console: Console, board: Board, seconds: float) -> None:
    """Show the numbers as they grow, until the time is over."""
    until = time.monotonic() + seconds
    with Live(console=console, get_renderable=lambda: table_of(board, seconds)):
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))
        board.is_over.set()


def table_of(board: Board, seconds: float) -> Table:
    """Return how many reads there were of each sort, and what became of them."""
    table = Table(title=f"{board.saved.value:,} writes in {seconds:g} seconds, while another process reads")
    for column in "", "reads", "from the cache", "stale reads":
        table.add_column(column, justify="right" if column else "left")
    for words, tally in {
        "what each write changes": board.changed,
        "what no write does": board.unchanged,
    }.items():
        reads, hits, stale = tally.reads.value, tally.hits.value, tally.stale.value
        color = "red" if stale else "green"
        table.add_row(words, f"{reads:,}", f"{hits / max(reads, 1):.0%}", f"[bold {color}]{stale:,}[/]")
    return table


def write(board: Board) -> None:
    """Save one version after another."""
    django.setup()
    from airports.models import Airport
    from airports.tour.akureyri import ICAO

    airport = Airport.objects.get(icao=ICAO)
    version = 0
    save_version(airport, version)
    board.start.wait(START_SECONDS)
    while not board.is_over.wait(PAUSE_SECONDS):
        version += 1
        board.begun.value = version
        save_version(airport, version)
        board.saved.value = version


def save_version(airport: Airport, version: int) -> None:
    airport.elevation, airport.country_id = version, HOMES[version % 2]
    airport.save()


def read(board: Board) -> None:
    """Ask for the airport, and for the lists that it enters and leaves, again and again."""
    django.setup()
    from airports.models import Airport
    from airports.tour.akureyri import ICAO
    from airports.watching import watch

    queries = [("", Airport.objects.filter(icao=ICAO), board.changed)]
    for country in *HOMES, ELSEWHERE:
        tally = board.changed if country in HOMES else board.unchanged
        queries.append((country, Airport.objects.filter(country=country, city=CITY), tally))
    board.start.wait(START_SECONDS)
    while not board.is_over.is_set():
        for country, query, tally in queries:
            for _ in range(IN_A_ROW):
                oldest = board.saved.value
                with watch("a read") as look:
                    rows = list(query.all())
                newest = board.begun.value
                seen = [row.elevation for row in rows if row.icao == ICAO]
                tally.reads.value += 1
                tally.hits.value += look.source == "hit"
                tally.stale.value += seen not in possible(country, oldest, newest)


def possible(country: str, oldest: int, newest: int) -> Iterator[list[int]]:
    """Yield what an answer can show of the airport: its version in the country where it is, nothing elsewhere."""
    for version in range(oldest, newest + 1):
        yield [version] if country in ("", HOMES[version % 2]) else []
