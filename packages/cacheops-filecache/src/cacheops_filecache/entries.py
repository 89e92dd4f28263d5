"""One entry in one file: written aside and renamed, so that a reader sees the old value or the new one, whole.

A file is a header and the payload. The header holds a checksum that also covers the entry's key: what was cut
off, overwritten, renamed or never was an entry does not verify, and is a miss. When the entry expires is the
file's modification time, put on it before it gets its name; so there is no moment at which a reader could take
an old value for a fresh one, and a cleaner need not open what it removes.

What a writer has written aside when it dies is found by its lock: a writer holds one on that file for as long
as it lives, and gives it back, by dying, at any instruction.
"""

# Strings and os functions: pathlib takes longer than the calls themselves.
# ruff: noqa: PTH108, PTH118, PTH120

from __future__ import annotations

import os
import stat
import struct
import sys
import time
from contextlib import suppress
from itertools import count
from typing import NamedTuple

import xxhash

from .renames import put

if sys.platform != "win32":
    import fcntl

__all__ = ["ASIDE", "ENTRY", "NEVER", "Entry", "NotAnEntry", "is_abandoned", "read", "touch", "write"]

ENTRY, ASIDE = ".entry", ".aside"
"""What the names of files end with; a file of any other name is not ours."""

NEVER = 2**33 * 10**9
"""When entries without a timeout expire: in the year 2242, or at the last day that the file system knows."""

_MAGIC = b"cof1"
_HEADER = struct.Struct("<4sB3xQ")
_HEADER_SIZE = _HEADER.size

# Up to here copying the bytes once more is cheaper than another call of the system.
_SMALL = 4096

_READ = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)

_HAS_USERS = hasattr(os, "geteuid")

_numbers = count()
_nonce: tuple[int, str] = (0, "")


class NotAnEntry(Exception):
    """What stands under the name is damaged, of another version, or something else."""


class Entry(NamedTuple):
    """What a file holds: the payload, of one of two kinds, until a time in nanoseconds since 1970."""

    payload: bytes
    is_raw: bool
    """Whether the payload is the value itself, and not a serialized one."""
    expires: int


def read(path: str, key: bytes) -> Entry | None:
    """Return the entry in a file, None if it has expired; raise ``OSError`` or ``NotAnEntry``."""
    file = os.open(path, _READ)
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode) or (_HAS_USERS and status.st_uid != os.geteuid()):
            raise NotAnEntry("is not a file of this user")
        expires = status.st_mtime_ns
        if expires <= time.time_ns():
            return None
        size = status.st_size
        if size > _SMALL:
            header, payload = os.read(file, _HEADER_SIZE), _read_all(file, size - _HEADER_SIZE)
        else:
            content = os.read(file, size)
            header, payload = content[:_HEADER_SIZE], content[_HEADER_SIZE:]
    finally:
        os.close(file)
    try:
        magic, is_raw, checksum = _HEADER.unpack(header)
    except struct.error:
        raise NotAnEntry("is cut off") from None
    if magic != _MAGIC or is_raw > 1 or checksum != _checksum(payload, is_raw, key):
        raise NotAnEntry("does not verify")
    return Entry(payload, is_raw == 1, expires)


def _read_all(file: int, size: int) -> bytes:
    # Nearly always one read, which join() does not copy: only a network or more than 2 GB make it several.
    parts, missing = [], size
    while missing > 0 and (part := os.read(file, missing)):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _checksum(payload: bytes, is_raw: int, key: bytes) -> int:
    return xxhash.xxh3_64_intdigest(payload, int.from_bytes(key[:8], "little") ^ is_raw)


def write(path: str, key: bytes, entry: Entry) -> None:
    """Put an entry in place of what stands under its name, at once and whole, or raise ``OSError``."""
    header = _HEADER.pack(_MAGIC, entry.is_raw, _checksum(entry.payload, entry.is_raw, key))
    aside = os.path.join(os.path.dirname(path), _unique() + ASIDE)
    file = os.open(aside, _CREATE, 0o600)
    try:
        try:
            _claim(file)
            _write_all(file, header, entry.payload)
            _set_expiry(file, aside, entry.expires)
            if sys.platform != "win32":
                put(aside, path)
        finally:
            os.close(file)
        if sys.platform == "win32":  # where an open file cannot be renamed
            put(aside, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(aside)
        raise


def _unique() -> str:
    """Return a name that no other writer uses, in any process on any machine."""
    global _nonce
    if _nonce[0] != os.getpid():  # the first call, or the first one after a fork
        _nonce = (os.getpid(), os.urandom(12).hex())
    return f"{_nonce[1]}-{next(_numbers)}"


def _claim(file: int) -> None:
    if sys.platform != "win32":  # there, a file that is open cannot be removed anyway
        with suppress(OSError):  # a file system without locks: cleaning has its age to go by
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _write_all(file: int, header: bytes, payload: bytes) -> None:
    if len(payload) < _SMALL:
        rest = memoryview(header + payload)
    else:
        os.write(file, header)
        rest = memoryview(payload)
    while rest:
        rest = rest[os.write(file, rest) :]


def _set_expiry(file: int, path: str, expires: int) -> None:
    times = (time.time_ns(), expires)
    os.utime(file if os.utime in os.supports_fd else path, ns=times)


def touch(path: str, expires: int) -> bool:
    """Let a fresh entry expire at another time; return whether it was fresh, or raise ``OSError``."""
    file = os.open(path, _READ)
    try:
        # The file that was looked at, even if another has its name by now.
        is_fresh = os.fstat(file).st_mtime_ns > time.time_ns()
        if is_fresh:
            _set_expiry(file, path, expires)
        return is_fresh
    finally:
        os.close(file)


def is_abandoned(path: str, age: float) -> bool:
    """Return whether nobody is writing this file any more: nobody holds its lock, or locks tell nothing."""
    if sys.platform == "win32":
        return True  # while it is being written, removing it fails
    try:
        file = os.open(path, _READ)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return age > 3600
    finally:
        os.close(file)
    return True
