"""What a process writes, dropped from all near caches that it has: one of them may hold what another has changed.

They are found by their prefix alone. Two of one prefix on different servers drop a little more than they had to.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from .conditions import Row
from .stamps import TableKeys

if TYPE_CHECKING:
    from .near import Near

_lock = threading.Lock()
_of_prefix: dict[str, tuple[weakref.ref[Near], ...]] = {}


def register(near: Near) -> None:
    """Let all writes of this process drop copies here."""
    with _lock:
        others = _of_prefix.get(near.prefix, ())
        _of_prefix[near.prefix] = (*(other for other in others if other() is not None), weakref.ref(near))


def of_prefix(prefix: str) -> list[Near]:
    """Return the near caches of this process under a prefix that have copies, or may get some."""
    found = (reference() for reference in _of_prefix.get(prefix, ()))
    return [near for near in found if near is not None and near.is_open]


def drop_changes(prefix: str, changes: Mapping[str, Iterable[Row] | None]) -> None:
    """Drop what depends on changes that this process is making; None stands for a whole table."""
    for near in of_prefix(prefix):
        for table, rows in changes.items():
            near.drop_rows(TableKeys.of(prefix, table), rows)


def drop_entries(prefix: str, names: Iterable[str]) -> None:
    """Drop the copies of entries that this process has changed."""
    for near in of_prefix(prefix):
        for name in names:
            near.drop_entry(name)


def drop_all(prefix: str) -> None:
    """Drop all copies under a prefix."""
    for near in of_prefix(prefix):
        near.clear()


def _begin_anew() -> None:
    global _lock
    _lock = threading.Lock()
    for references in list(_of_prefix.values()):
        for reference in references:
            if (near := reference()) is not None:
                near.reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
