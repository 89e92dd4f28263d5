"""What is put around a serializer: compression first, then a signature, as far as each is asked for."""

from __future__ import annotations

from typing import Any

from .compression import Compressed
from .serializers import Serializer, resolve
from .signing import Signed

__all__ = ["protected"]


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
