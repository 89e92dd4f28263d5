"""Compressed payloads: what is long and shrinks is stored shrunk, everything else as it is.

======================  ==============================================================================
``"zstd"``              shrinks best. Needs the extra ``cacheops-core[zstd]``.
``"lz4"``               is the fastest, above all to read. Needs the extra ``cacheops-core[lz4]``.
======================  ==============================================================================

What was stored before compression was turned on still loads. What is compressed in another way does not, and
counts as a miss.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from .errors import ConfigurationError
from .serializers import LoadError, Place, Serializer, is_bound, resolve

__all__ = ["Compressed", "check"]

_MARK = b"\xc1"
"""What changed payloads begin with, then comes how; no pickle, JSON or MessagePack begins so."""

_AS_IS = b"="
"""Follows the mark where a payload is not compressed, and itself begins with the mark."""

_LARGEST = 2**30
"""Bytes beyond which nothing is compressed, and so nothing has to become that large when it is read."""


class Codec(NamedTuple):
    """One way to compress."""

    letter: bytes
    compress: Callable[[bytes], bytes]
    decompress: Callable[[bytes], bytes]


class Compressed:
    """Another serializer's payloads, compressed from ``above`` bytes on: ``Compressed("pickle", "zstd")``."""

    def __init__(self, serializer: Any, algorithm: str = "zstd", above: int = 1024) -> None:
        self._serializer = resolve(serializer)
        if is_bound(self._serializer):
            raise ConfigurationError(
                f"{type(self._serializer).__qualname__} cannot be compressed, as it must see what is stored:"
                ' sign what is compressed, as in Signed(Compressed("pickle", "zstd"), key)'
            )
        check(algorithm, above)
        try:
            self._codec = _CODECS[algorithm]()
        except ImportError as error:
            raise ConfigurationError(
                f'compression "{algorithm}" needs a package: pip install "cacheops-core[{algorithm}]"'
            ) from error
        self._above = above

    def dumps(self, value: Any) -> bytes:
        payload = self._serializer.dumps(value)
        if self._above <= len(payload) <= _LARGEST:
            shrunk = _MARK + self._codec.letter + self._codec.compress(payload)
            if len(shrunk) < len(payload):
                return shrunk
        return _MARK + _AS_IS + payload if payload.startswith(_MARK) else payload

    def loads(self, payload: bytes) -> Any:
        serializer, payload = self.unwrap((), payload)
        return serializer.loads(payload)

    def unwrap(self, place: Place, payload: bytes) -> tuple[Serializer, bytes]:
        """Return the other serializer, and its payload."""
        if payload.startswith(_MARK):
            how, payload = payload[1:2], payload[2:]
            if how == self._codec.letter:
                payload = self._codec.decompress(payload)
            elif how != _AS_IS:
                raise LoadError(f"{len(payload)} stored bytes are compressed in another way")
        return self._serializer, payload


def check(algorithm: Any, above: Any) -> None:
    """Raise an error that names what is wrong with the choice, if anything is."""
    if algorithm not in tuple(_CODECS):  # which asks for equality, and not for a hash
        raise ConfigurationError(
            f"compression must be one of {', '.join(map(repr, _CODECS))}, or None for none, got {algorithm!r}"
        )
    if not isinstance(above, int) or isinstance(above, bool) or above < 1:
        raise ConfigurationError(f"compress_above must be a whole number of at least 1, got {above!r}")


def _zstd() -> Codec:
    import zstandard

    # Each may serve one thread at a time, and making one takes longer than most of its work.
    compressors, decompressors = _Idle(zstandard.ZstdCompressor), _Idle(zstandard.ZstdDecompressor)

    def compress(payload: bytes) -> bytes:
        with compressors.one() as compressor:
            shrunk: bytes = compressor.compress(payload)
        return shrunk

    def decompress(shrunk: bytes) -> bytes:
        # A frame that does not tell its size is none of ours, and claims the largest number that there is.
        _check_size(zstandard.get_frame_parameters(shrunk).content_size)
        with decompressors.one() as decompressor:
            payload: bytes = decompressor.decompress(shrunk, allow_extra_data=False)
        return payload

    return Codec(b"z", compress, decompress)


def _lz4() -> Codec:
    import lz4.frame

    def compress(payload: bytes) -> bytes:
        shrunk: bytes = lz4.frame.compress(payload)
        return shrunk

    def decompress(shrunk: bytes) -> bytes:
        _check_size(lz4.frame.get_frame_info(shrunk)["content_size"])
        payload: bytes
        payload, read = lz4.frame.decompress(shrunk, return_bytes_read=True)
        if read != len(shrunk):
            raise LoadError(f"{len(shrunk)} stored bytes are more than one frame")
        return payload

    return Codec(b"4", compress, decompress)


def _check_size(size: int) -> None:
    # Room for all of it is made at once, so a few bytes of a stranger could take all memory.
    if not 0 < size <= _LARGEST:
        raise LoadError(f"stored bytes claim to become {size}")


class _Idle:
    """Objects that nobody uses just now; as many are made as are ever used at once."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._idle: deque[Any] = deque()

    @contextmanager
    def one(self) -> Iterator[Any]:
        """Lend one of them."""
        try:
            found = self._idle.pop()
        except IndexError:
            found = self._make()
        yield found
        # One whose work has failed is not lent again.
        self._idle.append(found)


_CODECS: dict[str, Callable[[], Codec]] = {"zstd": _zstd, "lz4": _lz4}
