"""Removing what nobody will read again: a task of its own, so that neither reads nor writes wait for it.

A cleaner decides by a file's name, times and size and opens no entry. Any number of them may run, at any time.
The one race that there is costs a miss: a cleaner sees that an entry has expired, somebody writes it anew, and
the cleaner removes the new one.
"""

# Strings and os functions, for directories of a million files.
# ruff: noqa: PTH108

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple

from .entries import ASIDE, ENTRY, is_abandoned
from .locks import LOCK, remove_if_free

__all__ = ["Cleaned", "clean", "entries", "remove_entries"]

_OURS = re.compile(rf"[0-9a-f]{{24}}[0-9a-f-]*({re.escape(ENTRY)}|{re.escape(ASIDE)}|{re.escape(LOCK)})")

# Lock files are tiny, and removing them makes waiters start anew: only those that nobody has used for so long.
_LOCK_SECONDS = 60.0


class Cleaned(NamedTuple):
    """What a cleaning came to."""

    seen: int
    """Files of ours that were looked at."""
    removed: int
    """Entries that had expired or had to go for others, what dead writers left, and idle locks."""
    kept: int
    """Entries that are still fresh."""
    kept_bytes: int
    """The size of these."""


class _Kept(NamedTuple):
    written: int
    size: int
    path: str


def clean(
    directory: str, max_bytes: int | None = None, progress: Callable[[int, int], None] | None = None
) -> Cleaned:
    """Remove expired entries, leftovers of dead writers, and the least recently written beyond ``max_bytes``.

    ``progress`` is called with the number of files seen and removed so far.
    """
    seen = removed = total = 0
    kept: list[_Kept] = []
    for file in _files(directory):
        seen += 1
        status = _status(file)
        if status is None or _removed_as_dead(file, status):
            removed += 1
        elif file.name.endswith(ENTRY):
            total += status.st_size
            # Everything of st_ctime's meanings will do: the last change on Unix, the creation on Windows.
            kept.append(
                _Kept(status.st_ctime_ns, status.st_size, file.path) if max_bytes else _Kept(0, 0, "")
            )
        if progress is not None:
            progress(seen, removed)
    evicted, freed = _evict(kept, total - max_bytes) if max_bytes and total > max_bytes else (0, 0)
    return Cleaned(seen, removed + evicted, len(kept) - evicted, total - freed)


def entries(directory: str) -> Iterator[str]:
    """Yield the paths of all entries, fresh or not."""
    return (file.path for file in _files(directory) if file.name.endswith(ENTRY))


def remove_entries(directory: str) -> int:
    """Remove all entries and return how many; files of others stay."""
    return sum(_unlinked(path) for path in entries(directory))


def _files(directory: str) -> Iterator[os.DirEntry[str]]:
    with suppress(FileNotFoundError), os.scandir(directory) as files:
        yield from (file for file in files if _OURS.fullmatch(file.name))


def _status(file: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return file.stat(follow_symlinks=False)
    except OSError:  # another cleaner was faster
        return None


def _removed_as_dead(file: os.DirEntry[str], status: os.stat_result) -> bool:
    if file.name.endswith(ENTRY):
        return status.st_mtime_ns <= time.time_ns() and _unlinked(file.path)
    age = time.time() - status.st_ctime
    if file.name.endswith(ASIDE):
        return is_abandoned(file.path, age) and _unlinked(file.path)
    return age > _LOCK_SECONDS and remove_if_free(file.path)


def _evict(kept: list[_Kept], excess: int) -> tuple[int, int]:
    """Remove the least recently written entries until ``excess`` bytes are free; return how many, and bytes."""
    evicted = freed = 0
    for entry in sorted(kept):
        if freed >= excess:
            break
        _unlinked(entry.path)
        evicted += 1
        freed += entry.size
    return evicted, freed


def _unlinked(path: str) -> bool:
    try:
        os.unlink(path)
    except OSError:  # gone already, or open on Windows: the next cleaning gets it
        return False
    return True
