"""The file cache: the verbs of the simple cache over files in one directory."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from cacheops_core.errors import CacheMiss, ConfigurationError
from cacheops_core.keys import stable_key
from cacheops_core.serializers import Serializer, resolve

from .computing import computed, computed_once
from .entries import NEVER
from .folder import MISS, Folder

if TYPE_CHECKING:
    from datetime import timedelta

    from cacheops_core.decorators import CachedFunction, Decorator

    from .cleaning import Cleaned

__all__ = ["FileCache", "file_cache"]

P = ParamSpec("P")
R = TypeVar("R")

NOT_GIVEN: Any = object()
"""Stands for an argument that was left out, where None means something."""

MONTH = 30 * 24 * 3600


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
        self._folder = Folder(directory, self.serializer)

    def __repr__(self) -> str:
        return f"FileCache({str(self._folder)!r})"

    @property
    def directory(self) -> str:
        """The absolute path of the directory, made and found safe; raises ``ConfigurationError`` if it is not."""
        return self._folder.directory

    # Reading

    def get(self, key: Any, default: Any = NOT_GIVEN) -> Any:
        """Return the value stored under a key; without a default, raise ``CacheMiss`` if there is none."""
        value = self._folder.get(stable_key(key))
        if value is not MISS:
            return value
        if default is NOT_GIVEN:
            raise CacheMiss(key)
        return default

    def get_many(self, keys: Iterable[Any]) -> dict[Any, Any]:
        """Return those of the keys under which something is stored, with their values."""
        found = ((key, self._folder.get(stable_key(key))) for key in keys)
        return {key: value for key, value in found if value is not MISS}

    # Writing

    def set(self, key: Any, data: Any, timeout: float | timedelta | None = NOT_GIVEN) -> None:
        """Store a value for so many seconds; if that fails, for example on a full disk, the old one stays."""
        self._folder.set(stable_key(key), data, self._expiry(timeout))

    def set_many(self, values: Mapping[Any, Any], timeout: float | timedelta | None = NOT_GIVEN) -> None:
        """Store each value under its key."""
        for key, data in values.items():
            self.set(key, data, timeout)

    def delete(self, key: Any) -> bool:
        """Remove the value stored under a key; return whether there was one."""
        return self._folder.delete(stable_key(key))

    def add(self, key: Any, data: Any, timeout: float | timedelta | None = NOT_GIVEN) -> bool:
        """Store a value unless there is one under the key; return whether it was stored.

        One of many callers of ``add`` and ``incr`` at a time; of a ``set`` meanwhile, the last to end stands.
        """
        digest = stable_key(key)
        with self._folder.lock("change", digest).held():
            return self._folder.get(digest) is MISS and self._folder.set(digest, data, self._expiry(timeout))

    def incr(self, key: Any, delta: int = 1, timeout: float | timedelta | None = NOT_GIVEN) -> int:
        """Add to the whole number under a key, 0 if there is none, and return the sum.

        ``timeout`` is for a number that is new; one that was there expires when it would have.
        """
        digest = stable_key(key)
        with self._folder.lock("change", digest).held():
            found = self._folder.read(digest)
            value = 0 if found is None else self._folder.loaded(digest, found, 0)
            if type(value) is not int:
                raise ConfigurationError(
                    f"incr needs a whole number under {key!r}, got {type(value).__qualname__}: set it to one first"
                )
            expires = self._expiry(timeout) if found is None else found[2]
            self._folder.set(digest, value + delta, expires)
            return value + delta

    def touch(self, key: Any, timeout: float | timedelta | None = NOT_GIVEN) -> bool:
        """Let the value under a key live for so many seconds from now; return whether there is one."""
        return self._folder.touch(stable_key(key), self._expiry(timeout))

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
        with self._folder.lock("lock", name).held():
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
        value = self._folder.get(digest)
        if value is not MISS:
            return value  # type: ignore[no-any-return]  # what was stored is what compute returned
        how = computed_once if lock else computed
        return how(self._folder, digest, compute, lambda: self._expiry(timeout))

    @overload
    def cached(self, func: Callable[P, R], /) -> CachedFunction[P, R]: ...

    @overload
    def cached(
        self, timeout: float | timedelta | None = ..., extra: Any = ..., *, lock: bool = ...
    ) -> Decorator: ...

    def cached(self, timeout: Any = NOT_GIVEN, extra: Any = None, *, lock: bool = False) -> Any:
        """Make a function keep its results here, by its arguments; also without parentheses.

        ``extra`` is anything else that they depend on. With ``lock``, one of all processes computes.
        """
        from cacheops_core.decorators import cached  # takes longer to import than a script needs for an entry

        if callable(timeout) or isinstance(timeout, classmethod | staticmethod):
            return cached(self, timeout)
        given: dict[str, Any] = {} if timeout is NOT_GIVEN else {"timeout": _seconds(timeout)}
        return cached(self, extra=extra, lock=lock, **given)

    def _expiry(self, timeout: Any) -> int:
        seconds = self.timeout if timeout is NOT_GIVEN else _seconds(timeout)
        return NEVER if seconds is None else min(NEVER, time.time_ns() + int(seconds * 1e9))


def _seconds(timeout: Any) -> float | None:
    if type(timeout) in (int, float) and 0 < timeout < 1e9:
        return timeout  # type: ignore[no-any-return]  # checked in the line above
    from cacheops_core.options import seconds  # the whole truth; importing it takes longer than most scripts

    return seconds(timeout, "timeout")


file_cache: FileCache = FileCache()
"""The cache in the user's own folder."""
