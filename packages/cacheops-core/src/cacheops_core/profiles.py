"""What is cached for one table, for how long and how: the profile, and the readers of what people write.

A framework's adapter turns its settings into profiles with `Profile.parse`; nothing after that needs
to doubt them. Every reader takes the name under which the value was given, so that the error can say it.
"""

import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, Self, cast, get_args

from cacheops_core.errors import ConfigurationError

__all__ = ["OPS", "PROFILE_KEYS", "Profile", "parse_ops", "parse_option", "parse_timeout"]

Op = Literal["get", "fetch", "count", "exists", "aggregate"]
UpdateMode = Literal["rows", "table"]

OPS: tuple[str, ...] = get_args(Op)
"""Every operation that can be cached, in the order in which errors list them."""

MIN_TIMEOUT = 0.001
"""Redis counts the life of a key in whole milliseconds and refuses zero."""

MAX_TIMEOUT = 100 * 365 * 86400.0
"""A century: what is meant to live longer is meant to have no timeout, and Redis refuses a far larger one."""


def parse_ops(value: object, name: str = "ops") -> frozenset[str]:
    """Return the operations that `value` stands for: "all", names in one string, or a collection of names."""
    if isinstance(value, str):
        names: list[object] = list(value.replace(",", " ").split())
    elif isinstance(value, Iterable) and not isinstance(value, (bytes, Mapping)):
        names = list(value)
    else:
        raise ConfigurationError(f"{name} must be a string or a collection of strings, not {value!r}")
    unknown = [op for op in names if op != "all" and op not in OPS]
    if unknown:
        near = _did_you_mean(unknown[0], OPS)
        raise ConfigurationError(f"{name} has the unknown operation {unknown[0]!r}{near}")
    return frozenset(OPS if "all" in names else [str(op) for op in names])


def parse_timeout(value: object, name: str = "timeout") -> float | None:
    """Return `value`, a number of seconds or a `timedelta`, as seconds; None stays: no expiry by time."""
    return None if value is None else _seconds(value, name, least=MIN_TIMEOUT)


def parse_option(key: str, value: object, name: str) -> Any:
    """Return the value of one key of the profile that was written at `name`, in its canonical type."""
    if key not in _READERS:
        raise ConfigurationError(f"{name} has the unknown key {key!r}{_did_you_mean(key, PROFILE_KEYS)}")
    return _READERS[key](value, f'{name}["{key}"]')


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What may be cached for one table. Checked, and brought to one type per field, where it is made."""

    name: str
    """Where the profile was written, so that an explanation can point at the line that has to change."""

    timeout: float | None
    """Seconds that an entry lives when nothing invalidates it first; None keeps it until Redis evicts it.
    It has no default, because how old a result may get when a write goes untracked is the owner's to say."""

    ops: frozenset[str] = frozenset()
    """Operations cached without being asked; none of them still allows a queryset to ask with `.cache()`."""

    lock: bool = False
    """Whether one caller computes a missing result while the others wait: for queries dearer than a wait."""

    cache_on_save: bool | str = False
    """Whether a saved instance is stored at once: by its primary key (True), or by the field named here."""

    local_get: bool = False
    """Whether gets are also kept in this process: the older spelling of `near`, for gets alone."""

    db_agnostic: bool = False
    """Whether one entry serves every database, though nobody has declared them replicas of one another."""

    near: bool = False
    """Whether entries are also kept in this process: no round trip, at the price of a bounded delay."""

    stale: float = 0.0
    """Seconds for which an invalidated result may still be served while one caller recomputes it."""

    invalidate_on_update: UpdateMode | None = None
    """Whether `update()` invalidates: "rows" fetches what it changes, "table" drops all of the table at once.
    None leaves it to the caller, who may know that no cached condition is touched."""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise ConfigurationError(f"name must be a string, not {self.name!r}")
        for key, read in _READERS.items():
            object.__setattr__(self, key, read(getattr(self, key), key))

    @classmethod
    def parse(cls, name: str, options: Mapping[str, Any]) -> Self:
        """Return the profile that `options` describe; an error says where it stands as `name["key"]`."""
        if "timeout" not in options:
            raise ConfigurationError(f'{name} has no "timeout": add one, or None for no expiry by time')
        return cls(name=name, **{key: parse_option(key, value, name) for key, value in options.items()})


def _seconds(value: object, name: str, *, least: float) -> float:
    """Return `value` as seconds, refusing what only looks like a number of them."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    # True is an int in Python, and a second is never what somebody meant by it.
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigurationError(f"{name} must be a number of seconds or a timedelta, not {value!r}")
    if math.isnan(value) or not least <= value <= MAX_TIMEOUT:
        raise ConfigurationError(f"{name} must be from {least:g} to {MAX_TIMEOUT:.0f} seconds, not {value!r}")
    return float(value)


def _flag(value: object, name: str) -> bool:
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name} must be True or False, not {value!r}")
    return value


def _flag_or_field(value: object, name: str) -> bool | str:
    if isinstance(value, bool) or (isinstance(value, str) and value.isidentifier()):
        return value
    raise ConfigurationError(f"{name} must be True, False or the name of a field, not {value!r}")


def _update_mode(value: object, name: str) -> UpdateMode | None:
    for mode in (None, *get_args(UpdateMode)):
        if value == mode:
            return cast("UpdateMode | None", mode)
    raise ConfigurationError(f'{name} must be None, "rows" or "table", not {value!r}')


def _did_you_mean(word: object, known: Iterable[str]) -> str:
    """Return the end of a sentence about an unknown word: the nearest known one, if any, and all of them."""
    known = list(known)
    near = difflib.get_close_matches(str(word), known, n=1)
    guess = f": did you mean {near[0]!r}?" if near else "."
    return f"{guess} Known are {', '.join(known)}"


_READERS: dict[str, Callable[[object, str], Any]] = {
    "ops": parse_ops,
    "timeout": parse_timeout,
    "lock": _flag,
    "cache_on_save": _flag_or_field,
    "local_get": _flag,
    "db_agnostic": _flag,
    "near": _flag,
    "stale": lambda value, name: _seconds(value, name, least=0.0),
    "invalidate_on_update": _update_mode,
}

PROFILE_KEYS = tuple(_READERS)
"""The keys that people may write in a profile."""
