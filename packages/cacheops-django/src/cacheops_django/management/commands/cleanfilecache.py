"""`manage.py cleanfilecache [DIR ...]`: remove the files that nobody will read again; for a crontab."""

from __future__ import annotations

from argparse import ArgumentParser
from importlib import import_module
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cacheops_core.errors import CacheopsError
from cacheops_django import conf

__all__ = ["Command"]

DEFAULT = "default"
"""Stands for the directory that the settings name."""


class Command(BaseCommand):
    help = "Removes what has expired in the file cache, and what writers that died have left there."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take directories, and the size that each may have."""
        parser.add_argument(
            "path",
            nargs="*",
            default=[DEFAULT],
            metavar="DIR",
            help=f'"{DEFAULT}", or none, is FILE_CACHE_DIR',
        )
        parser.add_argument(
            "--max-bytes", type=int, metavar="N", help="also remove the least recently written beyond N bytes"
        )

    def handle(self, *args: Any, path: list[str], max_bytes: int | None, **options: Any) -> None:
        """Clean each, and say what it came to; one that cannot be cleaned keeps none of the others from it."""
        try:
            # A sibling that is not known by name here, as it has no part in what else this package does.
            store = import_module("cacheops_filecache")
        except ImportError as error:
            raise CommandError("there is no file cache: pip install cacheops-filecache") from error
        failed: list[Exception] = []
        for directory in path:
            try:
                self._clean(store, directory, max_bytes)
            except (CacheopsError, OSError) as error:
                failed.append(error)
        if failed:
            raise CommandError("\n".join(map(str, failed))) from failed[0]

    def _clean(self, store: Any, directory: str, max_bytes: int | None) -> None:
        if directory == DEFAULT:
            where = conf.current().file_cache_dir
        elif directory and Path(directory).is_dir():
            where = Path(directory)
        else:
            # A crontab may be older than the directory, and there is nothing in it to clean.
            self.stderr.write(f"there is no directory {directory}: check its name")
            return
        cache = store.FileCache(where, max_bytes=max_bytes)
        cleaned = cache.clean()
        self.stdout.write(
            f"{cache.directory}: {cleaned.removed:,} files removed, "
            f"{cleaned.kept:,} entries of {cleaned.kept_bytes / 1e6:,.1f} MB kept"
        )
