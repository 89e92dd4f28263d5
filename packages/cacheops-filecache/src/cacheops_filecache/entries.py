"""One entry in one file: written aside and renamed, so that a reader sees the old value or the new one, whole.

A file is a header and the payload. The header holds a checksum that also covers the entry's key: what was cut
off, overwritten, renamed or never was an entry does not verify, and is a miss. When the entry expires is the
file's modification time, put on it before it gets its name; so there is no moment at which a reader could take
an old value for a fresh one, and a cleaner need not open what it removes.

What a writer has written aside when it dies is found by its lock: a writer holds one on that file for as long
as it lives, and gives it back, by dying, at any instruction.
"""

# Strings and os functions: pathlib takes longer than the calls themselves.
# ruff: noqa: PTH108

from __future__ import annotations

import os
import stat
import struct
import sys
import time
from contextlib import suppress
from itertools import count

from xxhash import xxh3_64_digest

from .renames import put

if sys.platform != "win32":
    import fcntl

__all__ = ["ASIDE", "ENTRY", "NEVER", "Content", "NotAnEntry", "is_abandoned", "read", "touch", "write"]

ENTRY, ASIDE = ".entry", ".aside"
"""What the names of files end with; a file of any other name is not ours."""

NEVER = 2**33 * 10**9
"""When entries without a timeout expire: in the year 2242, or at the last day that the file system knows."""

_RAW, _DUMPED = b"cof1raw\0", b"cof1dump"
"""What files begin with: which version of the format this is, and what kind of payload follows the checksum."""

_HEADER_SIZE = 16
_SEED = struct.Struct("<Q8x")
_KIND_OF_FILE = 0o170000

# Up to here copying the bytes once more is cheaper than another call of the system.
_SMALL = 16 * 1024

# An expiry in the future is later than any reading, which Linux takes as a reason to write down the time of each
# ("relatime" in mount(8)); only the owner may ask for it not to, and the file of another is none of ours anyway.
_READ = sum(
    getattr(os, flag, 0) for flag in ("O_RDONLY", "O_BINARY", "O_NOFOLLOW", "O_NONBLOCK", "O_NOATIME")
)
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)

_HAS_USERS = hasattr(os, "geteuid")
_HAS_FUTIMES = os.utime in os.supports_fd

_numbers = count()
_nonce: tuple[int, str] = (0, "")


class NotAnEntry(Exception):
    """What stands under the name is damaged, of another version, or something else."""


Content = tuple[bytes, bool, int]
"""What a file holds: the payload, whether that is the value itself and not a serialized one, and when it
expires, in nanoseconds since 1970."""


def read(path: str, key: bytes) -> Content | None:
    """Return what the entry in a file holds, None if it has expired; raise ``OSError`` or ``NotAnEntry``."""
    # Every line here is a part of what a hit costs: no call that is not needed, and none twice.
    file = os.open(path, _READ)
    try:
        status = os.fstat(file)
        if status.st_mode & _KIND_OF_FILE != stat.S_IFREG or (_HAS_USERS and status.st_uid != os.geteuid()):
            raise NotAnEntry("is not a file of this user")
        expires = status.st_mtime_ns
        if expires <= time.time_ns():
            return None
        size = status.st_size
        if size <= _SMALL:
            start = os.read(file, size)
            if len(start) < size:
                start += _rest(file, size - len(start))
            payload = start[_HEADER_SIZE:]
        else:
            start, payload = os.read(file, _HEADER_SIZE), _rest(file, size - _HEADER_SIZE)
    finally:
        os.close(file)
    is_raw = start.startswith(_RAW)
    if not start.startswith(_header(payload, is_raw, key)):
        raise NotAnEntry("does not verify")
    return payload, is_raw, expires


def _rest(file: int, size: int) -> bytes:
    # Nearly always one read, which join() does not copy: only a network or more than 2 GB make it several.
    parts, missing = [], size
    while missing > 0 and (part := os.read(file, missing)):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _header(payload: bytes, is_raw: bool, key: bytes) -> bytes:
    (seed,) = _SEED.unpack(key)
    return (_RAW if is_raw else _DUMPED) + xxh3_64_digest(payload, seed ^ is_raw)


def write(path: str, key: bytes, payload: bytes, is_raw: bool, expires: int) -> None:
    """Put an entry in place of what stands under its name, at once and whole, or raise ``OSError``.

    ``path`` is absolute.
    """
    header = _header(payload, is_raw, key)
    aside = f"{path[: path.rindex(os.sep)]}{os.sep}{_unique()}{ASIDE}"
    file = os.open(aside, _CREATE, 0o600)
    try:
        try:
            _claim(file)
            _write_all(file, header, payload)
            _set_expiry(file, aside, expires)
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
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # a file system without locks: cleaning has its age to go by
            return


def _write_all(file: int, header: bytes, payload: bytes) -> None:
    if len(payload) <= _SMALL:
        payload = header + payload
    else:
        os.write(file, header)
    written = os.write(file, payload)
    while written < len(payload):
        written += os.write(file, memoryview(payload)[written:])


def _set_expiry(file: int, path: str, expires: int) -> None:
    os.utime(file if _HAS_FUTIMES else path, ns=(time.time_ns(), expires))


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
