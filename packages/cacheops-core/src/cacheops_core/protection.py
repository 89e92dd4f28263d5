"""What is put around a serializer: compression first, then a signature, as far as each is asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from .compression import Compressed
from .serializers import Place, Serializer, is_bound, resolve
from .signing import Signed

__all__ = ["protected", "unwrapped"]


def protected(
    serializer: Any, *, compression: str | None, compress_above: int, signing_key: Any
) -> Serializer:
    """Return the serializer that does as this one, then compresses, then signs."""
    found = resolve(serializer)
    if compression is not None:
        found = Compressed(found, compression, compress_above)
    if signing_key is not None:
        found = Signed(found, signing_key)
    return found


def unwrapped(serializer: Any, payload: bytes, place: Place) -> tuple[Callable[[bytes], Any], bytes]:
    """Return what loads a value, and from what: the payload in this place, verified and decompressed."""
    while (unwrap := getattr(serializer, "unwrap", None)) is not None:
        serializer, payload = unwrap(place, payload)
    return partial(serializer.loads_for, place) if is_bound(serializer) else serializer.loads, payload
