"""The files of one cache: where they lie, values into them and out of them, and what goes wrong told once."""

# Strings and os functions: pathlib takes longer than the calls themselves.
# ruff: noqa: PTH108

from __future__ import annotations

import os
from typing import Any

from cacheops_core.errors import BackendError
from cacheops_core.keys import stable_key
from cacheops_core.serializers import LoadError, PickleSerializer, Serializer, dump, load

from . import directories
from .entries import ENTRY, Content, NotAnEntry, read, touch, write
from .locks import LOCK, FileLock

__all__ = ["MISS", "Folder"]

MISS: Any = object()
"""Stands for a value where there is none."""

_CANNOT_STORE = "nothing can be stored, and old entries stay; this is said once until it works again: %s"


class Folder:
    """Values in files by the digests of their keys; nothing is touched before the first call."""

    def __init__(self, directory: str | os.PathLike[str] | None, serializer: Serializer) -> None:
        self._wanted = None if directory is None else os.fspath(directory)
        self._start: str | None = None
        """What all paths here begin with, once the directory has been prepared."""
        self._serializer = serializer
        # Only pickles may be passed by: another serializer may be there to encrypt.
        self._takes_bytes = type(serializer) is PickleSerializer
        self._warned: set[str] = set()

    def __str__(self) -> str:
        return self.directory if self._start else self._wanted or "default directory"

    @property
    def directory(self) -> str:
        """The absolute path, made and found safe; raises ``ConfigurationError`` if it is not."""
        return (self._start or self._prepared())[: -len(os.sep)]

    def _prepared(self) -> str:
        self._start = directories.prepare(self._wanted or directories.default_directory()) + os.sep
        return self._start

    def path(self, digest: bytes, ending: str = ENTRY) -> str:
        """Return the path of a file that may be there or not."""
        return (self._start or self._prepared()) + digest.hex() + ending

    def get(self, digest: bytes) -> Any:
        """Return the value in a file, or `MISS`."""
        found = self.read(digest)
        if found is None:
            return MISS
        return found[0] if found[1] and self._takes_bytes else self.loaded(digest, found, MISS)

    def read(self, digest: bytes) -> Content | None:
        """Return what is in a file, None if there is nothing fresh that is ours."""
        try:
            return read((self._start or self._prepared()) + digest.hex() + ENTRY, digest)
        except FileNotFoundError:
            return None
        except NotAnEntry as error:
            _log("%s %s and counts as a miss", self.path(digest), error)
        except OSError as error:
            self.warn("what cannot be read counts as a miss: %s", error)
        return None

    def loaded(self, digest: bytes, content: Content, otherwise: Any) -> Any:
        """Return the value that was read, or something else if it does not load."""
        payload, is_raw, _ = content
        if is_raw:
            return payload if self._takes_bytes else otherwise
        try:
            return load(self._serializer, payload, (digest,))
        except LoadError as error:
            _log("an entry counts as a miss: %s", error)
            return otherwise

    def set(self, digest: bytes, value: Any, expires: int) -> bool:
        """Store a value and return whether it was; raise ``DumpError`` if it does not serialize."""
        is_raw = self._takes_bytes and type(value) is bytes
        payload = value if is_raw else dump(self._serializer, value, (digest,))
        try:
            try:
                write(self.path(digest), digest, payload, is_raw, expires)
            except FileNotFoundError:
                # Somebody removed the directory, or a cleaner what we had only just begun to write.
                self._start = None
                write(self.path(digest), digest, payload, is_raw, expires)
        except OSError as error:
            self.warn(_CANNOT_STORE, error)
            return False
        self._warned.discard(_CANNOT_STORE)
        return True

    def touch(self, digest: bytes, expires: int) -> bool:
        """Let what is fresh in a file expire at another time; return whether there is such."""
        try:
            return touch(self.path(digest), expires)
        except OSError:
            return False

    def delete(self, digest: bytes) -> bool:
        """Remove a file; return whether there was one."""
        try:
            os.unlink(self.path(digest))
        except OSError:
            return False
        return True

    def lock(self, purpose: str, name: Any) -> FileLock:
        """Return the lock of that name; raise ``BackendError`` where there is no place for its file."""
        try:
            return FileLock(self.path(stable_key(purpose, name), LOCK))
        except OSError as error:
            raise BackendError(f"there is no place for locks: {error}") from error

    def warn(self, message: str, error: Exception) -> None:
        """Say what goes wrong, for the first time since it last went right."""
        if message not in self._warned:
            self._warned.add(message)
            _log(f"FileCache('%s'): {message}", self, error)


def _log(message: str, *arguments: object) -> None:
    import logging  # only for those that have something to say

    logging.getLogger("cacheops").warning(message, *arguments)
