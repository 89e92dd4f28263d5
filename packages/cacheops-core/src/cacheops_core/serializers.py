"""How values become bytes and come back: by name, by dotted path, or any object with ``dumps`` and ``loads``.

====================  =================================================================================
``"pickle"``          any picklable object comes back as it was; what pickling would forget something of is
                      refused. Whoever can write to the store can run code in this program.
``"json"``            None, bool, int, float, str, list, tuple and dict come back as they were; all else is
                      refused, also what is of a subclass of these, such as an enum's member.
``"msgpack"``         as JSON, and bytes and datetimes in UTC; smaller and faster. Needs the extra
                      ``cacheops-core[msgpack]``.
====================  =================================================================================

`compression.Compressed` and `signing.Signed` are put around any of these. A serializer that must know which
entry a payload belongs to, as one that signs, has ``dumps_for(place, value)`` and ``loads_for(place, payload)``
beside ``dumps`` and ``loads``; caches then use these.
"""

from __future__ import annotations

import pickle
import sys
from copyreg import dispatch_table
from enum import Enum
from functools import lru_cache
from importlib import import_module
from io import BytesIO
from typing import Any, Protocol

from .errors import CacheopsError, ConfigurationError
from .plain import SCALARS, anything, marked, unmarked

__all__ = [
    "NAMES",
    "DumpError",
    "JsonSerializer",
    "LoadError",
    "MsgpackSerializer",
    "PickleSerializer",
    "Place",
    "Serializer",
    "dump",
    "is_bound",
    "load",
    "resolve",
]


Place = tuple[str | bytes, ...]
"""Where a payload belongs: the name of its entry, and what the entry begins with."""


class DumpError(CacheopsError, TypeError):
    """A value cannot be turned into bytes; a cached function's caller gets the value all the same."""


class LoadError(CacheopsError, ValueError):
    """Stored bytes do not become a value: damaged, or of a class that is gone; caches count it as a miss."""


class Serializer(Protocol):
    """What a cache asks of a serializer; ``loads(dumps(value))`` must be a new object each time."""

    def dumps(self, value: Any, /) -> bytes:
        """Return the value as bytes."""

    def loads(self, payload: bytes, /) -> Any:
        """Return the value that these bytes were made of."""


class PickleSerializer:
    """Anything that can be pickled, by the highest protocol of the running Python, and views of bytes."""

    def dumps(self, value: Any) -> bytes:
        written = BytesIO()
        _Pickler(written, pickle.HIGHEST_PROTOCOL).dump(value)
        return written.getvalue()

    def loads(self, payload: bytes) -> Any:
        return pickle.loads(payload)


class _Pickler(pickle.Pickler):
    """Writes a view of bytes, as drivers of databases return for binary columns, as one of a copy of these bytes."""

    def reducer_override(self, value: Any) -> Any:
        kind: type = type(value)
        if kind is memoryview and value.format == "B" and value.ndim == 1:
            return memoryview, (bytes(value) if value.readonly else bytearray(value),)
        if _may_forget(kind) and (forgotten := vars(value)):
            reduced = value.__reduce_ex__(pickle.HIGHEST_PROTOCOL)
            if isinstance(reduced, tuple) and reduced[2:3] in ((), (None,)):
                raise TypeError(
                    f"pickling forgets {', '.join(forgotten)}, for want of a __reduce__ of its class"
                )
        return NotImplemented


@lru_cache(maxsize=1024)
def _may_forget(kind: type) -> bool:
    """Tell whether objects of a class are pickled by a method of Python's own that need not know of their attributes.

    Such are subclasses of Decimal or date that have attributes beside.
    """
    # Members of an enum come back with their attributes, by their values.
    if not kind.__dictoffset__ or issubclass(kind, Enum) or kind in dispatch_table:
        return False
    for name in ("__reduce_ex__", "__reduce__"):
        definer = next(one for one in kind.__mro__ if name in vars(one))
        if definer is not object:
            return definer.__module__ in sys.stdlib_module_names
    return False


class JsonSerializer:
    """Values that JSON knows, for stores that others read or may write to."""

    def __init__(self) -> None:
        import json  # a file cache that pickles shall not wait for it

        self._json = json

    def dumps(self, value: Any) -> bytes:
        return self._json.dumps(marked(value), separators=(",", ":")).encode("ascii")

    def loads(self, payload: bytes) -> Any:
        return self._json.loads(payload, object_hook=unmarked)


class MsgpackSerializer:
    """Values that MessagePack knows: as JSON, with bytes and instants in UTC, smaller and faster."""

    def __init__(self) -> None:
        try:
            import msgpack
        except ImportError as error:
            raise ConfigurationError(
                'serializer "msgpack" needs the package msgpack: pip install "cacheops-core[msgpack]"'
            ) from error
        from datetime import UTC, datetime

        def is_in_utc(moment: Any) -> bool:
            # Another zone would come back as UTC: the same instant, and another date.
            return moment.tzinfo is UTC and not moment.fold

        self._msgpack = msgpack
        self._kept = {**SCALARS, bytes: anything, datetime: is_in_utc}

    def dumps(self, value: Any) -> bytes:
        packed: bytes = self._msgpack.packb(marked(value, self._kept), datetime=True)
        return packed

    def loads(self, payload: bytes) -> Any:
        return self._msgpack.unpackb(payload, object_hook=unmarked, timestamp=3)


_NAMED = {"pickle": PickleSerializer, "json": JsonSerializer, "msgpack": MsgpackSerializer}

NAMES = tuple(_NAMED)
"""What a serializer may be called, where it is not given as an object or by its path."""


def resolve(serializer: Any) -> Serializer:
    """Return the serializer of that name or dotted path, a class made into an object; an object as it is."""
    found = _load_named(serializer) if isinstance(serializer, str) else serializer
    if isinstance(found, type):
        found = found()
    if not callable(getattr(found, "dumps", None)) or not callable(getattr(found, "loads", None)):
        raise ConfigurationError(
            f"serializer={serializer!r} lacks dumps(value) -> bytes or loads(bytes) -> value:"
            ' name one of "pickle", "json", "msgpack", or an object with both methods'
        )
    return found  # type: ignore[no-any-return]


def _load_named(name: str) -> Any:
    if name in _NAMED:
        return _NAMED[name]
    module, _, attribute = name.rpartition(".")
    try:
        # The path of a module with functions of these names will do, too.
        home = import_module(module or name)
        return getattr(home, attribute) if hasattr(home, attribute) else import_module(name)
    except ImportError as error:
        raise ConfigurationError(
            f"serializer={name!r} cannot be imported ({error}):"
            ' name one of "pickle", "json", "msgpack", or the dotted path of an object'
        ) from error


def is_bound(serializer: Serializer) -> bool:
    """Return whether payloads of this serializer load only where they belong."""
    return hasattr(serializer, "loads_for")


def dump(serializer: Serializer, value: Any, place: Place = ()) -> bytes:
    """Return the value as bytes for a place, or raise ``DumpError`` whatever went wrong in the serializer."""
    bound = getattr(serializer, "dumps_for", None)
    try:
        payload: bytes = serializer.dumps(value) if bound is None else bound(place, value)
    except Exception as error:
        kind = type(value)
        raise DumpError(
            f"{kind.__module__}.{kind.__qualname__} does not serialize with {type(serializer).__qualname__}"
            f" ({error}): return plain data, or choose another serializer"
        ) from error
    return payload


def load(serializer: Serializer, payload: bytes, place: Place = ()) -> Any:
    """Return the value from a place, or raise ``LoadError`` whatever went wrong in the serializer."""
    bound = getattr(serializer, "loads_for", None)
    try:
        return serializer.loads(payload) if bound is None else bound(place, payload)
    except LoadError:
        raise
    except Exception as error:
        raise LoadError(f"{len(payload)} stored bytes do not load: {error!r}") from error
