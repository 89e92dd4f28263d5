"""``python -m cacheops_filecache clean [DIR]``: remove what nobody will read again."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence

from cacheops_core.errors import CacheopsError

from .store import FileCache

__all__ = ["main"]

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    options = _parser().parse_args(arguments)
    try:
        if options.directory is not None and not os.path.isdir(options.directory):  # noqa: PTH112 - as in all of this
            raise NotADirectoryError(f"there is no directory {options.directory}: check its name")
        cache = FileCache(options.directory, max_bytes=options.max_bytes)
        progress = Progress()
        cleaned = cache.clean(progress if sys.stderr.isatty() else None)
        progress.end()
    except (CacheopsError, OSError) as error:
        print(f"cacheops-filecache: {error}", file=sys.stderr)
        return 1
    print(
        f"{cache.directory}: {cleaned.removed:,} files removed, "
        f"{cleaned.kept:,} entries of {cleaned.kept_bytes / 1e6:,.1f} MB kept"
    )
    return 0


class Progress:
    """A line on the terminal that counts; written over itself ten times a second at most."""

    def __init__(self) -> None:
        self._shown = 0.0

    def __call__(self, seen: int, removed: int) -> None:
        if time.monotonic() - self._shown > 0.1:
            self._shown = time.monotonic()
            print(f"\r{seen:,} files seen, {removed:,} removed", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Take the line away."""
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cacheops-filecache", description="A cache in files.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    clean = commands.add_parser(
        "clean", help="remove expired entries and what dead writers left; safe at any time"
    )
    clean.add_argument("directory", nargs="?", metavar="DIR", help="default: the user's own cache folder")
    clean.add_argument(
        "--max-bytes",
        type=_size,
        metavar="N",
        help="also remove the least recently written beyond N (500M, 2G)",
    )
    return parser


def _size(text: str) -> int:
    number, unit = (text[:-1], text[-1].upper()) if text[-1:].isalpha() else (text, "")
    if not number.isdigit() or unit not in _UNITS or int(number) == 0:
        raise argparse.ArgumentTypeError(f"expected a size as 1000000, 500M or 2G, got {text!r}")
    return int(number) * _UNITS[unit]


if __name__ == "__main__":
    sys.exit(main())
