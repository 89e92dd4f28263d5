"""Starts the readers and writers, lets them run for some seconds, and adds up what they tell."""

import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from databases import KINDS
from processes import Environment, company, create_tables, environment, set_up, spawning

from cacheops_core.testing import Server, start_server
from stress.ledger import Ledger

EXAMPLES = 5
TOO_MANY_ERRORS = 100
LAST_WISH_SECONDS = 60.0
"""How long a process may take to end after the time is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to run."""

    database: str = "sqlite"
    """A key of `databases.KINDS`."""
    server: str = "auto"
    """What `start_server` takes."""
    seconds: float = 10.0
    writers: int = 2
    readers: int = 3
    rows: int = 300
    categories: int = 100
    sabotage: str | None = None
    """A key of `SABOTAGE`: what to break on purpose, to see that stale reads are found."""


@dataclass(slots=True)
class Report:
    """What happened; reports of several processes add up."""

    reads: Counter[str] = field(default_factory=Counter)
    writes: Counter[str] = field(default_factory=Counter)
    hits: int = 0
    misses: int = 0
    stale: int = 0
    errors: int = 0
    examples: list[str] = field(default_factory=list)
    """Some of the stale reads and errors, in words."""
    seconds: float = 0.0

    def add(self, other: "Report") -> None:
        self.reads += other.reads
        self.writes += other.writes
        self.hits += other.hits
        self.misses += other.misses
        self.stale += other.stale
        self.errors += other.errors
        self.examples += other.examples
        self.seconds = max(self.seconds, other.seconds)

    @property
    def hit_rate(self) -> float:
        """The share of the answers that came from the cache."""
        return self.hits / max(1, self.hits + self.misses)

    def __str__(self) -> str:
        reads, writes = sum(self.reads.values()), sum(self.writes.values())
        return (
            f"{reads} reads and {writes} writes in {self.seconds:.1f} s, {self.hit_rate:.0%} hits, "
            f"{self.stale} stale, {self.errors} exceptions"
        )

    def details(self) -> str:
        """Say how often each thing was done, and what was wrong."""
        lines = [f"  {kind}: {number}" for kind, number in sorted((self.reads + self.writes).items())]
        return "\n".join([*lines, *self.examples[:EXAMPLES]])


def run(plan: Plan) -> Report:
    """Run a plan from an empty database and an empty server, to its end."""
    with KINDS[plan.database]() as database, start_server(plan.server) as server:
        environ = environment(database, server.url)
        ledger = Ledger(plan.rows, plan.categories)
        with company(environ) as actors:
            actors.actor().do(create_tables)
            categories = actors.actor().do(fill_shop, plan.rows, plan.categories)
        for row, category in enumerate(categories):
            ledger.publish(row, 0, category)
        return _play(plan, environ, ledger, server)


def fill_shop(rows: int, categories: int) -> list[int]:
    """Make the products, and return the category of each, counted from 0."""
    from project.shop.models import Category, Product

    Category.objects.bulk_create(Category(pk=n + 1, title=f"category {n}") for n in range(categories))
    made = [Product(pk=n + 1, name=f"product {n}", category_id=n % categories + 1) for n in range(rows)]
    Product.objects.bulk_create(made)
    return [product.category_id - 1 for product in made]


def _play(plan: Plan, environ: Environment, ledger: Ledger, server: Server) -> Report:
    roles = [(_write, n) for n in range(plan.writers)] + [(_read, n) for n in range(plan.readers)]
    begin, reports = spawning.Barrier(len(roles)), spawning.SimpleQueue()
    with ExitStack() as stack:
        processes = []
        for role, number in roles:
            process = spawning.Process(
                target=role, args=(plan, environ, ledger, number, begin, reports), daemon=True
            )
            process.start()
            stack.callback(process.kill)
            processes.append(process)
        return _gather(plan, processes, reports)


def _gather(plan: Plan, processes: list[Any], reports: Any) -> Report:
    """Wait for a report of each process; one that ends without, or never ends, is an error."""
    total, missing = Report(), len(processes)
    deadline = time.monotonic() + plan.seconds + LAST_WISH_SECONDS
    while (
        missing
        and time.monotonic() < deadline
        and (not reports.empty() or any(p.is_alive() for p in processes))
    ):
        if reports.empty():
            time.sleep(0.05)
            continue
        total.add(reports.get())
        missing -= 1
    if missing:
        total.add(
            Report(errors=missing, examples=[f"{missing} processes ended without a report, or did not end"])
        )
    return total


# In the processes


def _write(plan: Plan, environ: Environment, ledger: Ledger, number: int, begin: Any, reports: Any) -> None:
    set_up(environ)
    from stress.writers import Writer

    _sabotage(plan, "writer")
    writer, report = Writer(ledger, number, plan.writers), Report()
    begin.wait()
    _repeat(writer.write, plan.seconds, report)
    report.writes = writer.done
    reports.put(report)


def _read(plan: Plan, environ: Environment, ledger: Ledger, number: int, begin: Any, reports: Any) -> None:
    set_up(environ)
    from stress.readers import Reader, dawdle

    _sabotage(plan, "reader")
    dawdle(number)
    reader, report = Reader(ledger, number), Report()
    begin.wait()
    _repeat(reader.read, plan.seconds, report)
    report.reads, report.hits, report.misses = reader.done, reader.hits, reader.misses
    report.stale = reader.stale
    report.examples += reader.examples
    reports.put(report)


def _repeat(do: Callable[[], None], seconds: float, report: Report) -> None:
    began = time.monotonic()
    while (now := time.monotonic()) < began + seconds and report.errors < TOO_MANY_ERRORS:
        try:
            do()
        except Exception:
            report.errors += 1
            report.examples += [traceback.format_exc()][: EXAMPLES - len(report.examples)]
    report.seconds = now - began


def _sabotage(plan: Plan, role: str) -> None:
    from stress import readers, writers

    functions: dict[tuple[str, str], Callable[[], None]] = {
        ("late stamps", "reader"): readers.acquire_late,
        ("no invalidation", "writer"): writers.invalidate_nothing,
    }
    functions.get((plan.sabotage or "", role), lambda: None)()


SABOTAGE: Iterable[str] = ("late stamps", "no invalidation")
