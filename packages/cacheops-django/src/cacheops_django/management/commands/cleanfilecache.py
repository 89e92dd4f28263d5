"""`manage.py cleanfilecache [DIR]`: remove the files that nobody will read again; for a crontab."""

from __future__ import annotations

from argparse import ArgumentParser
from importlib import import_module
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cacheops_core.errors import CacheopsError
from cacheops_django import conf

__all__ = ["Command"]


class Command(BaseCommand):
    help = "Removes what has expired in the file cache, and what writers that died have left there."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take a directory, and the size that it may have."""
        parser.add_argument("directory", nargs="?", metavar="DIR", help="by default FILE_CACHE_DIR")
        parser.add_argument(
            "--max-bytes", type=int, metavar="N", help="also remove the least recently written beyond N bytes"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Clean, and say what it came to."""
        try:
            # A sibling that is not known by name here, as it has no part in what else this package does.
            store = import_module("cacheops_filecache")
        except ImportError as error:
            raise CommandError("there is no file cache: pip install cacheops-filecache") from error
        directory: str | None = options["directory"]
        try:
            if directory and not Path(directory).is_dir():
                raise CommandError(f"there is no directory {directory}: check its name")
            cache = store.FileCache(
                directory or conf.current().file_cache_dir, max_bytes=options["max_bytes"]
            )
            cleaned = cache.clean()
        except (CacheopsError, OSError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"{cache.directory}: {cleaned.removed:,} files removed, "
            f"{cleaned.kept:,} entries of {cleaned.kept_bytes / 1e6:,.1f} MB kept"
        )
