"""How one cache behaves, checked where it is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from .errors import ConfigurationError

LONGEST = 100 * 365 * 86_400.0
"""Seconds that anything may live, at most: a server does not count without end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheOptions:
    """How one cache behaves. Adapters build it from their framework's settings; the core reads no global."""

    prefix: str = "cacheops:"
    """What every key begins with, so that several programs can share a server."""

    timeout: float | None = 60.0
    """Seconds that an entry lives when nothing invalidates it first; None keeps it until Redis evicts it."""

    fence_lifetime: float = 30.0
    """Seconds after which a writer that has fenced and not released counts as dead. Must be longer than any
    COMMIT takes: a COMMIT that outlives its fence is an invalidation that comes late."""

    max_schemes: int = 32
    """Schemes that the registry of a table may hold; conditions by further ones count as "any row"."""

    max_conjunctions: int = 64
    """Conjunctions on one table that a result may depend on; with more it depends on the whole table."""

    max_fences: int = 50_000
    """Keys of one table that a unit of work may fence; a unit that touches more fences the whole table."""

    degrade: bool = False
    """Whether the program goes on without the cache while the server is away, instead of failing."""

    compression: str | None = None
    """How long payloads are compressed: "zstd" or "lz4" (an extra each), or not at all."""

    compress_above: int = 1024
    """Bytes from which on a payload is long."""

    # Not told by repr(), which ends up in logs.
    signing_key: str | bytes | Sequence[str | bytes] | None = field(default=None, repr=False)
    """What payloads are signed with, so that nothing is loaded that strangers have put into the store. Of
    several keys the first one signs, and what any of them has signed is loaded."""

    near_size: int = 10_000
    """Copies that a process keeps in its own memory, at most, of what is asked for with ``near``."""

    near_bytes: int = 64 * 2**20
    """Bytes that these copies may take, about."""

    near_max_age: float = 1.0
    """Seconds after which a copy is checked against the server: how old an answer may be at worst."""

    def __post_init__(self) -> None:
        if not isinstance(self.degrade, bool):
            raise ConfigurationError(f"degrade must be True or False, got {self.degrade!r}")
        if not isinstance(self.prefix, str) or set(self.prefix) & set("{}"):
            # Braces are where a cluster looks for the part of a key that decides on its slot.
            raise ConfigurationError(f"prefix must be a string without braces, got {self.prefix!r}")
        try:
            self.prefix.encode()
        except UnicodeEncodeError as error:
            raise ConfigurationError(
                f"prefix must be text that UTF-8 can hold, got {self.prefix!r}"
            ) from error
        object.__setattr__(self, "timeout", seconds(self.timeout, "timeout"))
        object.__setattr__(self, "fence_lifetime", seconds(self.fence_lifetime, "fence_lifetime"))
        if self.fence_lifetime is None:
            raise ConfigurationError(
                "fence_lifetime must be a number of seconds, got None: a fence needs an end"
            )
        object.__setattr__(self, "near_max_age", seconds(self.near_max_age, "near_max_age"))
        if self.near_max_age is None:
            raise ConfigurationError(
                "near_max_age must be a number of seconds, got None: a copy whose message is lost needs an end"
            )
        for name in (
            "max_schemes",
            "max_conjunctions",
            "max_fences",
            "compress_above",
            "near_size",
            "near_bytes",
        ):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ConfigurationError(f"{name} must be a whole number of at least 1, got {value!r}")
        self._check_payloads()

    def _check_payloads(self) -> None:
        if self.compression is not None:
            from .compression import check

            check(self.compression, self.compress_above)
        if self.signing_key is not None:
            from .signing import secrets

            object.__setattr__(self, "signing_key", secrets(self.signing_key))


def seconds(value: Any, name: str) -> float | None:
    """Return a time as seconds; raise an error that names it unless it is positive, or None for no limit."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is None or (is_number and 0 < value <= LONGEST):
        return value  # type: ignore[no-any-return]  # None, int or float, as just checked
    raise ConfigurationError(
        f"{name} must be a number of seconds above 0 and at most {LONGEST:.0f}, a timedelta or None for no "
        f"limit, got {value!r}"
    )
