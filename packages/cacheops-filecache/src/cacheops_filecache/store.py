"""The file cache: the verbs of the simple cache over files in one directory."""

# Strings and os functions: pathlib takes longer than the calls themselves.
# ruff: noqa: PTH108

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from cacheops_core.errors import BackendError, CacheMiss, ConfigurationError
from cacheops_core.keys import stable_key
from cacheops_core.serializers import DumpError, LoadError, PickleSerializer, Serializer, dump, load, resolve

from . import directories
from .entries import ENTRY, NEVER, Entry, NotAnEntry, read, touch, write
from .locks import LOCK, FileLock

if TYPE_CHECKING:
    from datetime import timedelta

    from cacheops_core.decorators import CachedFunction, Decorator

    from .cleaning import Cleaned

__all__ = ["FileCache", "file_cache"]

P = ParamSpec("P")
R = TypeVar("R")

NOT_GIVEN: Any = object()
"""Stands for an argument that was left out, where None means something."""

_MISS: Any = object()

_CANNOT_STORE = "nothing can be stored, and old entries stay; this is said once until it works again: %s"

MONTH = 30 * 24 * 3600

_computing_now: ContextVar[frozenset[bytes]] = ContextVar(
    "cacheops_filecache_computing_now", default=frozenset()
)
"""The keys for which the current context holds the lock: it must not wait for itself."""


class FileCache:
    """Values in files, for as long as they are fresh, shared by all processes of a user.

    ``directory`` is the user's own below the platform's cache folder if not given, and must be writable by
    nobody else. ``timeout`` is how long entries live, as seconds or ``timedelta``; ``None`` is for ever.
    ``max_bytes`` is what cleaning shrinks the directory to. Nothing is touched before the first call.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str] | None = None,
        *,
        timeout: float | timedelta | None = MONTH,
        serializer: Any = "pickle",
        max_bytes: int | None = None,
    ) -> None:
        if max_bytes is not None and (type(max_bytes) is not int or max_bytes < 1):
            raise ConfigurationError(f"max_bytes must be a positive whole number or None, got {max_bytes!r}")
        self.serializer: Serializer = resolve(serializer)
        self.max_bytes = max_bytes
        self.timeout: float | None = _seconds(timeout)
        self._wanted = None if directory is None else os.fspath(directory)
        self._prepared: str | None = None
        # Only pickles may be passed by: another serializer may be there to encrypt.
        self._takes_bytes = type(self.serializer) is PickleSerializer
        self._warned: set[str] = set()

    def __repr__(self) -> str:
        return f"FileCache({self._prepared or self._wanted or 'default directory'!r})"

    @property
    def directory(self) -> str:
        """The absolute path of the directory, made and found safe; raises ``ConfigurationError`` if it is not."""
        if self._prepared is None:
            self._prepared = directories.prepare(self._wanted or directories.default_directory())
        return self._prepared

    # Reading

    def get(self, key: Any, default: Any = NOT_GIVEN) -> Any:
        """Return the value stored under a key; without a default, raise ``CacheMiss`` if there is none."""
        value = self._get(stable_key(key))
        if value is not _MISS:
            return value
        if default is NOT_GIVEN:
            raise CacheMiss(key)
        return default

    def get_many(self, keys: Iterable[Any]) -> dict[Any, Any]:
        """Return those of the keys under which something is stored, with their values."""
        found = ((key, self._get(stable_key(key))) for key in keys)
        return {key: value for key, value in found if value is not _MISS}

    # Writing

    def set(self, key: Any, data: Any, timeout: float | timedelta | None = NOT_GIVEN) -> None:
        """Store a value for so many seconds; if that fails, for example on a full disk, the old one stays."""
        self._set(stable_key(key), data, self._expiry(timeout))

    def set_many(self, values: Mapping[Any, Any], timeout: float | timedelta | None = NOT_GIVEN) -> None:
        """Store each value under its key."""
        for key, data in values.items():
            self.set(key, data, timeout)

    def delete(self, key: Any) -> bool:
        """Remove the value stored under a key; return whether there was one."""
        try:
            os.unlink(self._path(stable_key(key)))
        except OSError:
            return False
        return True

    def add(self, key: Any, data: Any, timeout: float | timedelta | None = NOT_GIVEN) -> bool:
        """Store a value unless there is one under the key; return whether it was stored.

        One of many callers of ``add`` and ``incr`` at a time; of a ``set`` meanwhile, the last to end stands.
        """
        digest = stable_key(key)
        with self._changing(digest):
            return self._get(digest) is _MISS and self._set(digest, data, self._expiry(timeout))

    def incr(self, key: Any, delta: int = 1, timeout: float | timedelta | None = NOT_GIVEN) -> int:
        """Add to the whole number under a key, 0 if there is none, and return the sum.

        ``timeout`` is for a number that is new; one that was there expires when it would have.
        """
        digest = stable_key(key)
        with self._changing(digest):
            entry = self._read(digest)
            value = 0 if entry is None else self._loaded(digest, entry, 0)
            if type(value) is not int:
                raise ConfigurationError(
                    f"incr needs a whole number under {key!r}, got {type(value).__qualname__}: set it to one first"
                )
            self._set(digest, value + delta, self._expiry(timeout) if entry is None else entry.expires)
            return value + delta

    def touch(self, key: Any, timeout: float | timedelta | None = NOT_GIVEN) -> bool:
        """Let the value under a key live for so many seconds from now; return whether there is one."""
        try:
            return touch(self._path(stable_key(key)), self._expiry(timeout))
        except OSError:
            return False

    def invalidate_all(self) -> None:
        """Remove all entries. Files that are none of ours stay."""
        from .cleaning import remove_entries

        remove_entries(self.directory)

    def clean(self, progress: Callable[[int, int], None] | None = None) -> Cleaned:
        """Remove what has expired, what dead writers left, and what is too much for ``max_bytes``."""
        from .cleaning import clean

        return clean(self.directory, self.max_bytes, progress)

    # Computing

    @contextmanager
    def lock(self, name: Any, timeout: float | None = None) -> Iterator[None]:
        """Let one thread of one process at a time in.

        ``timeout`` is for caches that have to wait for a dead holder; here it gives its lock back by dying.
        """
        with self._lock("lock", name).held():
            yield

    def get_or_compute(
        self,
        key: Any,
        dependencies: Any,
        compute: Callable[[], R],
        timeout: float | timedelta | None = NOT_GIVEN,
        *,
        lock: bool = False,
    ) -> R:
        """Return what is stored under the key, or else what ``compute`` returns, and store that.

        With ``lock``, one of many callers computes and the others wait for it. ``dependencies`` must be empty:
        nothing invalidates a file but time.
        """
        if dependencies:
            raise ConfigurationError(
                f"a file cache cannot follow {dependencies!r}: use a cacheops_core.Cache"
            )
        digest = stable_key(key)
        value = self._get(digest)
        if value is not _MISS:
            return value  # type: ignore[no-any-return]  # what was stored is what compute returned
        if lock and digest not in _computing_now.get():
            return self._computed_once(digest, compute, timeout)
        return self._computed(digest, compute, timeout)

    def _computed(self, digest: bytes, compute: Callable[[], R], timeout: Any) -> R:
        value = compute()
        try:
            self._set(digest, value, self._expiry(timeout))
        except DumpError as error:
            self._warn("results are returned and not stored: %s", error)
        return value

    def _computed_once(self, digest: bytes, compute: Callable[[], R], timeout: Any) -> R:
        # A computes; B, C and D wait; A fails. If B then computed under the lock, and failed as slowly, C would
        # wait for two failures and D for three. So who has waited never holds the lock while it computes.
        try:
            lock = self._lock("compute", digest)
            is_first = lock.acquire(blocking=False)
            if not is_first:
                lock.acquire()
                lock.release()
        except OSError as error:
            self._warn("computing without a lock: %s", error)
            return self._computed(digest, compute, timeout)
        before = _computing_now.set(_computing_now.get() | {digest})
        try:
            # Somebody may have stored it between our look and our lock, or before we stopped waiting.
            value = self._get(digest)
            return self._computed(digest, compute, timeout) if value is _MISS else value
        finally:
            _computing_now.reset(before)
            if is_first:
                lock.release()

    @overload
    def cached(self, func: Callable[P, R], /) -> CachedFunction[P, R]: ...

    @overload
    def cached(
        self, timeout: float | timedelta | None = ..., *, extra: Any = ..., lock: bool = ...
    ) -> Decorator: ...

    def cached(self, timeout: Any = NOT_GIVEN, *, extra: Any = None, lock: bool = False) -> Any:
        """Make a function keep its results here, by its arguments; also without parentheses.

        ``extra`` is anything else that they depend on. With ``lock``, one of all processes computes.
        """
        from cacheops_core.decorators import cached  # takes longer to import than a script needs for an entry

        if callable(timeout) or isinstance(timeout, classmethod | staticmethod):
            return cached(self, timeout)
        given: dict[str, Any] = {} if timeout is NOT_GIVEN else {"timeout": _seconds(timeout)}
        return cached(self, extra=extra, lock=lock, **given)

    # Files

    def _get(self, digest: bytes) -> Any:
        entry = self._read(digest)
        if entry is None:
            return _MISS
        return self._loaded(digest, entry, _MISS)

    def _read(self, digest: bytes) -> Entry | None:
        try:
            return read(self._path(digest), digest)
        except FileNotFoundError:
            return None
        except NotAnEntry as error:
            _log("%s %s and counts as a miss", self._path(digest), error)
        except OSError as error:
            self._warn("what cannot be read counts as a miss: %s", error)
        return None

    def _loaded(self, digest: bytes, entry: Entry, otherwise: Any) -> Any:
        if entry.is_raw:
            return entry.payload if self._takes_bytes else otherwise
        try:
            return load(self.serializer, entry.payload, (digest,))
        except LoadError as error:
            _log("an entry counts as a miss: %s", error)
            return otherwise

    def _set(self, digest: bytes, value: Any, expires: int) -> bool:
        """Store a value and return whether it was; raise ``DumpError`` if it does not serialize."""
        is_raw = self._takes_bytes and type(value) is bytes
        payload = value if is_raw else dump(self.serializer, value, (digest,))
        entry = Entry(payload, is_raw, expires)
        try:
            try:
                write(self._path(digest), digest, entry)
            except FileNotFoundError:
                # Somebody removed the directory, or a cleaner what we had only just begun to write.
                self._prepared = None
                write(self._path(digest), digest, entry)
        except OSError as error:
            self._warn(_CANNOT_STORE, error)
            return False
        self._warned.discard(_CANNOT_STORE)
        return True

    def _path(self, digest: bytes) -> str:
        return (self._prepared or self.directory) + os.sep + digest.hex() + ENTRY

    def _lock(self, purpose: str, name: Any) -> FileLock:
        try:
            return FileLock(f"{self.directory}{os.sep}{stable_key(purpose, name).hex()}{LOCK}")
        except OSError as error:
            raise BackendError(f"there is no place for locks: {error}") from error

    @contextmanager
    def _changing(self, digest: bytes) -> Iterator[None]:
        with self._lock("change", digest).held():
            yield

    def _expiry(self, timeout: Any) -> int:
        seconds = self.timeout if timeout is NOT_GIVEN else _seconds(timeout)
        return NEVER if seconds is None else min(NEVER, time.time_ns() + int(seconds * 1e9))

    def _warn(self, message: str, error: Exception) -> None:
        if message not in self._warned:
            self._warned.add(message)
            _log(f"%r: {message}", self, error)


def _seconds(timeout: Any) -> float | None:
    if type(timeout) in (int, float) and 0 < timeout < 1e9:
        return timeout  # type: ignore[no-any-return]  # checked in the line above
    from cacheops_core.options import seconds  # the whole truth; importing it takes longer than most scripts

    return seconds(timeout, "timeout")


def _log(message: str, *arguments: object) -> None:
    import logging  # only for those that have something to say

    logging.getLogger("cacheops").warning(message, *arguments)


file_cache: FileCache = FileCache()
"""The cache in the user's own folder."""
