"""`manage.py load`: makes the database and loads the airports into it."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from rich.console import Console

from airports.loading import ensure_loaded


class Command(BaseCommand):
    help = "Load the airports, unless that has been done."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--only", nargs="+", default=(), metavar="CODE", help="countries to load, such as IS NO"
        )

    def handle(self, *, only: list[str], **options: Any) -> None:
        console = Console()
        console.print(f"{ensure_loaded(console, only):,} airports are in the database.")
