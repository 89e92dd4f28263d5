"""`manage.py reapconjs`: nothing, for the crontabs of projects that came from django-cacheops."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

__all__ = ["Command"]


class Command(BaseCommand):
    help = "Does nothing: there are no conjunction sets to reap. It is here for the crontabs that call it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take what the command of django-cacheops takes."""
        for option in ("--chunk-size", "--min-conj-set-size", "--timeout"):
            parser.add_argument(option, type=int, help="Has no effect.")
        parser.add_argument("--dry-run", action="store_true", help="Has no effect.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Say why there is nothing to do."""
        self.stdout.write(
            "Nothing to reap: stamps take the place of conjunction sets, there are never more of them than "
            "conditions in use, and each expires by itself. Remove this command from where it is called."
        )
