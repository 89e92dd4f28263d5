"""Putting a new file in the place of an old one, at once, and without waiting for the disk.

ext4 takes a rename over an existing file as a wish that the new one survive a loss of power, and begins to write
it to disk there and then ("auto_da_alloc" in https://docs.kernel.org/admin-guide/ext4.html). A cache has no
such wish: its checksum tells a torn entry, which is a miss. Linux can also *exchange* two names, as atomically,
and does not begin to write then; that makes replacing an entry many times faster.
"""

# Strings and os functions, as everywhere in this package.
# ruff: noqa: PTH105, PTH108

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

__all__ = ["put"]

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2

_rename: Callable[..., int] | None = None
_has_exchange = sys.platform == "linux"


def put(aside: str, path: str) -> None:
    """Give the file aside the name ``path``, whatever has had it so far."""
    # Looking first keeps a script that replaces nothing from waiting for ctypes.
    if _has_exchange and (_rename is not None or os.path.lexists(path)) and _exchange(aside, path):
        try:
            os.unlink(aside)
        except FileNotFoundError:  # a cleaner was faster
            return
    elif sys.platform == "win32":
        _replace_on_windows(aside, path)
    else:
        os.replace(aside, path)


def _exchange(aside: str, path: str) -> bool:
    """Exchange two names; return False if that cannot be, because there is only one, or not here."""
    global _rename, _has_exchange
    if _rename is None:
        try:
            import ctypes  # takes longer than a few renames

            _rename = ctypes.CDLL(None).renameat2
        except (ImportError, OSError, AttributeError):
            _has_exchange = False
            return False
    return _rename(_AT_FDCWD, os.fsencode(aside), _AT_FDCWD, os.fsencode(path), _RENAME_EXCHANGE) == 0


def _replace_on_windows(aside: str, path: str) -> None:
    # A reader that has the old file open keeps it from being replaced, for as long as a read takes.
    for pause in (0.001, 0.01, 0.1, 0.5):
        try:
            return os.replace(aside, path)
        except PermissionError:
            time.sleep(pause)
    return os.replace(aside, path)
