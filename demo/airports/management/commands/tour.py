"""`manage.py tour`: what the cache does, shown in the terminal in four tables."""

from argparse import ArgumentParser
from functools import partial
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console

from airports.loading import ensure_loaded
from airports.tour import precision, race, rollback, speed


class Command(BaseCommand):
    help = "Show in the terminal what the cache does, and check that it is right."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--seconds", type=float, default=5, help="how long the race at the end takes")

    def handle(self, *, seconds: float, **options: Any) -> None:
        console = Console()
        console.print(f"{ensure_loaded(console):,} airports in SQLite, and a cache beside it.\n")
        stops = {
            "1. Speed": speed.show,
            "2. Precision": precision.show,
            "3. A rollback": rollback.show,
            "4. A race": partial(race.show, seconds=seconds),
        }
        wrong = []
        for title, show in stops.items():
            console.rule(title, align="left")
            if not show(console):
                wrong.append(title)
            console.print()
        if wrong:
            raise CommandError(f"This is not as it should be: {', '.join(wrong)}")
        console.print("All as it should be. The site: python -m nox -s demo -- serve")
