"""Typed, stable forms of Python values: what a fingerprint is made of.

A form is something that `marshal` writes the same way in every process: None, booleans, numbers, strings
and bytes stand for themselves, a list for a list of forms, and everything else is a tuple that begins with
a tag. Values that were not of one exact type never share a form, so that 1, True, 1.0, "1" and Decimal(1)
stay apart. Only exact types are known: a subclass may carry what its parent does not show. What is unknown
raises `Unknown`, never a guess.
"""

import datetime
import decimal
import enum
import functools
import hashlib
import ipaddress
import marshal
import uuid
from collections.abc import Callable
from types import BuiltinFunctionType, FunctionType, NoneType
from typing import Any

from django.utils.safestring import SafeString

Encoder = Callable[[Any], Any]
Learner = Callable[[type], Encoder | None]

PLAIN = frozenset({NoneType, bool, int, float, str, bytes})
"""Exact types that stand for themselves."""

MARSHAL_VERSION = 2
"""The last version without references: with them, the bytes depend on which objects happen to be shared."""


class Unknown(Exception):
    """Raised for what has no form; its text names what that was."""


def encode(value: Any) -> Any:
    """Return the form of a value, a query or a part of one."""
    try:
        encoder = ENCODERS[type(value)]
    except KeyError:
        encoder = _learn(type(value))
    return encoder(value)


def learn(learner: Learner) -> Learner:
    """Ask this function too, from now on, for the encoder of a class that is seen for the first time."""
    _learners.append(learner)
    return learner


def is_known(cls: type) -> bool:
    """Tell whether instances of a class may have a form."""
    try:
        return cls in ENCODERS or bool(_learn(cls))
    except Unknown:
        return False


def _learn(cls: type) -> Encoder:
    for learner in _learners:
        encoder = learner(cls)
        if encoder is not None:
            ENCODERS[cls] = encoder
            return encoder
    raise Unknown(f"{tag(cls)} has no stable form")


def dump(form: Any) -> bytes:
    """Write a form as bytes: equal forms give equal bytes, in every process."""
    try:
        return marshal.dumps(form, MARSHAL_VERSION)
    except ValueError as error:
        # A subclass of a plain type at a place where Django has only that type.
        raise Unknown(f"part of the query is of a type without stable form: {error}") from error


def digest(form: Any) -> bytes:
    """Return 16 bytes that stand for a form."""
    return hashlib.blake2b(dump(form), digest_size=16).digest()


def tag(cls: type) -> str:
    """Name a class; with its dots, no such name is a tag of the forms made here."""
    return f"{cls.__module__}.{cls.__qualname__}"


def path(thing: Any) -> str:
    """Name a class or function that the name alone identifies."""
    name = f"{thing.__module__}.{thing.__qualname__}"
    if "<" in name:
        # Made in a function: a second call makes another one under the same name.
        raise Unknown(f"{name} is not at the top level of a module")
    return name


def _list(value: list[Any]) -> list[Any]:
    return value if PLAIN.issuperset(map(type, value)) else [encode(item) for item in value]


def _set(value: set[Any] | frozenset[Any]) -> tuple[Any, ...]:
    return (type(value).__name__, *sorted(dump(encode(item)) for item in value))


def _dict(value: dict[Any, Any]) -> tuple[Any, ...]:
    # In its own order: JSON text has it.
    return ("dict", *(encode(part) for item in value.items() for part in item))


def _datetime(value: datetime.datetime) -> tuple[Any, ...]:
    zone = value.tzinfo and (tag(type(value.tzinfo)), str(value.utcoffset()), value.tzname())
    return ("datetime", value.replace(tzinfo=None).isoformat(), value.fold, zone)


def _time(value: datetime.time) -> tuple[Any, ...]:
    zone = value.tzinfo and (tag(type(value.tzinfo)), str(value.utcoffset()), value.tzname())
    return ("time", value.replace(tzinfo=None).isoformat(), value.fold, zone)


def _partial(value: functools.partial[Any]) -> tuple[Any, ...]:
    return ("partial", path(value.func), encode(value.args), encode(value.keywords))


def _ip(value: Any) -> tuple[Any, ...]:
    return (type(value).__name__, str(value))


def _named(value: Any) -> tuple[str, str]:
    return ("named", path(value))


ENCODERS: dict[type, Encoder] = {
    **dict.fromkeys(PLAIN, lambda value: value),
    list: _list,
    tuple: lambda value: ("tuple", *map(encode, value)),
    dict: _dict,
    set: _set,
    frozenset: _set,
    bytearray: lambda value: ("bytearray", bytes(value)),
    memoryview: lambda value: ("memoryview", bytes(value)),
    SafeString: lambda value: ("safe", str.__str__(value)),
    decimal.Decimal: lambda value: ("decimal", str(value)),
    uuid.UUID: lambda value: ("uuid", value.bytes),
    datetime.datetime: _datetime,
    datetime.date: lambda value: ("date", value.isoformat()),
    datetime.time: _time,
    datetime.timedelta: lambda value: ("timedelta", value.days, value.seconds, value.microseconds),
    ipaddress.IPv4Address: _ip,
    ipaddress.IPv6Address: _ip,
    ipaddress.IPv4Network: _ip,
    ipaddress.IPv6Network: _ip,
    functools.partial: _partial,
    FunctionType: _named,
    BuiltinFunctionType: _named,
}
"""How to encode an instance of exactly this type; grows as classes are seen."""

_learners: list[Learner] = []


@learn
def _values(cls: type) -> Encoder | None:
    """Enum members, classes, time zones and what psycopg wraps parameters in."""
    name = tag(cls)
    if issubclass(cls, enum.Enum):
        return lambda member: ("enum", name, member.name, encode(member.value))
    if issubclass(cls, type):
        return _named
    if issubclass(cls, datetime.tzinfo):
        return lambda zone: ("zone", name, str(zone))
    if cls.__module__ == "psycopg.types.json":
        return lambda json: (name, encode(json.obj), encode(json.dumps))
    if name == "psycopg.dbapi20.Binary":
        return lambda binary: (name, encode(binary.obj))
    if cls.__module__ == "psycopg.types.numeric":
        base = int if issubclass(cls, int) else float
        return lambda number: (name, base(number))
    return None
