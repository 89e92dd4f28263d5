"""Signed payloads: whoever can write to the store, but does not know the key, can make nobody load what he wrote.

A signature is a keyed BLAKE2b of the payload and of the place where it belongs: the entry's name, and the stamps
that it was stored under. So an entry that was copied to another name, or put under other stamps, does not verify,
and neither does one that was changed or cut off, or signed with a key that is not in the list any more. The
signature is looked at first: bytes that do not verify reach neither a decompressor nor a serializer.

What it can not tell is an old state of the store that comes back as a whole, entry and stamps.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from hmac import compare_digest
from typing import Any

from .errors import ConfigurationError
from .serializers import LoadError, Place, Serializer, resolve

__all__ = ["Signed", "secrets"]

_MARK = b"\xc1s"
"""What signed payloads begin with; no pickle, JSON or MessagePack does."""

_TAG = 16
"""Bytes of a signature: who has to guess one tries 2**127 times."""

_START = len(_MARK) + _TAG

_LEAST = 16
"""Bytes that a key must have; shorter ones can be found by trying."""


class Signed:
    """Another serializer's payloads with a signature: ``Signed("pickle", key)``.

    With a list of keys the first one signs, and what any of them has signed is loaded: a new key is put in front,
    and the old one removed when what it has signed has expired.
    """

    def __init__(self, serializer: Any, key: str | bytes | Iterable[str | bytes]) -> None:
        self._serializer = resolve(serializer)
        self._keyed = tuple(_keyed(secret) for secret in secrets(key))

    def dumps(self, value: Any) -> bytes:
        return self.dumps_for((), value)

    def loads(self, payload: bytes) -> Any:
        return self.loads_for((), payload)

    def dumps_for(self, place: Place, value: Any) -> bytes:
        """Return the value as bytes that load only in this place."""
        payload = self._serializer.dumps(value)
        return b"".join((_MARK, _signature(self._keyed[0], place, payload), payload))

    def loads_for(self, place: Place, payload: bytes) -> Any:
        """Return the value of bytes that were made for this place; raise LoadError if these were not."""
        serializer, payload = self.unwrap(place, payload)
        return serializer.loads(payload)

    def unwrap(self, place: Place, payload: bytes) -> tuple[Serializer, bytes]:
        """Return the other serializer, and its payload if that was signed for this place."""
        if not payload.startswith(_MARK) or len(payload) < _START:
            raise LoadError(f"{len(payload)} stored bytes are not signed")
        signature, payload = payload[len(_MARK) : _START], payload[_START:]
        if not any(compare_digest(signature, _signature(keyed, place, payload)) for keyed in self._keyed):
            raise LoadError(f"{len(payload)} stored bytes were not signed for this place by a key of ours")
        return self._serializer, payload


def secrets(key: Any, name: str = "signing_key") -> tuple[bytes, ...]:
    """Return the keys as bytes; raise an error that names them, and does not tell them, if they will not do."""
    keys = [key] if isinstance(key, str | bytes) or not isinstance(key, Iterable) else list(key)
    found = tuple(one.encode() if isinstance(one, str) else one for one in keys)
    for one in found:
        if not isinstance(one, bytes) or len(one) < _LEAST:
            told = (
                f"{len(one)} bytes" if isinstance(one, bytes) else f"a value of type {type(one).__qualname__}"
            )
            raise ConfigurationError(
                f"{name} must be a key of {_LEAST} bytes or more, or a list of such keys, got {told}:"
                f' python -c "import secrets; print(secrets.token_urlsafe())" makes one'
            )
    if not found:
        raise ConfigurationError(f"{name} is an empty list: put a key in it, or set it to None")
    return found


def _keyed(secret: bytes) -> blake2b:
    """Return the beginning of all signatures by a key: BLAKE2 takes keys of 64 bytes, and secrets have any length."""
    key = blake2b(secret, digest_size=64, person=b"cacheops.key").digest()
    return blake2b(key=key, digest_size=_TAG, person=b"cacheops.entry.1")


def _signature(keyed: blake2b, place: Place, payload: bytes) -> bytes:
    parts = [part.encode() if isinstance(part, str) else part for part in place]
    # Each with its length, so that nothing moves from one part to the next.
    told = b"".join(b"%d:%b" % (len(part), part) for part in parts)
    signature = keyed.copy()
    signature.update(told + b".")
    signature.update(payload)
    return signature.digest()
