"""Compare a hit with the uncached query: SQLite in a file, Valkey on a socket, in alternating slices."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any, NamedTuple

import django
from django.conf import settings

ROWS = 2_000
DEPARTMENTS = 40


class Cost(NamedTuple):
    """What one call cost, in microseconds."""

    wall: float
    cpu: float


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare a hit with the uncached query.")
    parser.add_argument("--slices", type=int, default=21, help="slices of each side, alternating")
    parser.add_argument("--calls", type=int, default=100, help="calls in a slice")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        set_up(Path(folder))
        print(f"{'query':<28}{'uncached':>18}{'hit':>18}{'uncached':>18}{'hit':>18}")
        print(f"{'':<28}" + f"{'wall, µs':>18}" * 2 + f"{'CPU, µs':>18}" * 2)
        for name, ask in queries().items():
            uncached, hit = compare(ask, arguments.slices, arguments.calls)
            print(f"{name:<28}{uncached.wall:>18.0f}{hit.wall:>18.0f}{uncached.cpu:>18.0f}{hit.cpu:>18.0f}")


def set_up(folder: Path) -> None:
    """Start Django with a site of users, in a database and a server that nobody else has."""
    settings.configure(
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "cacheops"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": folder / "hits.sqlite3"}},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        CACHEOPS_REDIS=f"embedded://{folder / 'server'}",
        CACHEOPS={"auth.*": {"ops": "all", "timeout": 3600}},
    )
    django.setup()
    from django.contrib.auth.models import User
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    User.objects.bulk_create(
        User(username=f"user{n}", last_name=f"department{n % DEPARTMENTS}", is_staff=n % 10 == 0)
        for n in range(ROWS)
    )


def queries() -> dict[str, Callable[[bool], Any]]:
    """Return what is asked; each takes whether it may be answered from the cache."""
    from django.contrib.auth.models import User

    def users(is_cached: bool) -> Any:
        return User.objects.all() if is_cached else User.objects.nocache()

    return {
        "get by primary key": lambda is_cached: users(is_cached).get(pk=7),
        "list of 50 rows": lambda is_cached: list(users(is_cached).filter(last_name="department7")),
        "page of 20 rows, ordered": lambda is_cached: list(
            users(is_cached).filter(is_staff=True).order_by("-username")[:20]
        ),
        "count": lambda is_cached: users(is_cached).filter(last_name="department7").count(),
        "exists": lambda is_cached: users(is_cached).filter(last_name="department7").exists(),
    }


def compare(ask: Callable[[bool], Any], slices: int, calls: int) -> tuple[Cost, Cost]:
    """Return the median cost of an uncached call and of a hit."""
    if ask(False) != ask(True) or ask(True) != ask(True):
        raise SystemExit("the cached answer is not the uncached one: nothing to measure")
    measured: dict[bool, list[Cost]] = {False: [], True: []}
    for _ in range(slices):
        for is_cached, costs in measured.items():
            costs.append(measure(ask, is_cached, calls))
    uncached, hit = (Cost(*map(median, zip(*costs, strict=True))) for costs in measured.values())
    return uncached, hit


def measure(ask: Callable[[bool], Any], is_cached: bool, calls: int) -> Cost:
    """Return what a call costs on average over one slice."""
    wall, cpu = perf_counter(), process_time()
    for _ in range(calls):
        ask(is_cached)
    return Cost((perf_counter() - wall) / calls * 1e6, (process_time() - cpu) / calls * 1e6)


if __name__ == "__main__":
    main()
