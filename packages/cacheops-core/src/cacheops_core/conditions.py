"""What a result depends on: equalities between fields and values, per table.

A *condition* is ``field = value`` on one table, a *conjunction* is a set of conditions that are all true
(the empty one means "any row of the table"), and the *dependencies* of a result are a set of conjunctions
per table: some row that meets one of them can influence the result, no other row can.

Values are compared as *tokens*: one canonical text per value, so that whoever asks (``category=7``) and
whoever writes (``{"category": Decimal("7.0")}``) arrive at the same key. Two values that the database holds
equal must have one token. The reverse is not needed: if two different values share a token (``7`` and
``"7"`` do), a write drops a little more than it had to.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Context, Decimal
from enum import Enum
from functools import cached_property, singledispatch
from hashlib import sha1
from typing import Any
from urllib.parse import quote
from uuid import UUID

from .errors import ConfigurationError

Token = str | None
"""The canonical text of a value; ``None`` is SQL's NULL."""

Row = Mapping[str, Token]
"""The tokens of one row by field name. A field that is missing is unknown, which is not the same as NULL."""

Condition = tuple[str, Token]
Conjunction = tuple[Condition, ...]
"""Conditions sorted by field name."""

ANY_ROW: Conjunction = ()

_EXACT = Context(prec=10_000)

LONG_TEXT = 96
"""Characters of a conjunction's text above which its digest stands in the key instead, as in the scripts."""


_stays_as_it_is = re.compile(r"[A-Za-z0-9_.~-]*").fullmatch
"""Tells of most names, numbers and dates that quoting leaves them alone, in a fraction of the time that it takes."""


@singledispatch
def token(value: object) -> Token:
    """Return the canonical text of a value, the same for all values that are equal to a database."""
    raise ConfigurationError(
        f"a condition's value must be a string, bytes, number, date, time, UUID, enum member or None, "
        f"got {value!r} of {type(value).__qualname__}: pass its database value instead"
    )


@token.register
def _(value: None) -> Token:
    return None


@token.register
def _(value: str) -> Token:
    # The text itself, whatever a subclass such as an enum's mixin makes of str().
    return str.__str__(value)


@token.register
def _(value: int) -> Token:
    # bool is an int: True is stored as 1.
    return int.__repr__(int(value))


@token.register
def _(value: float) -> Token:
    return token(Decimal(repr(float(value)))) if value == value else "nan"


@token.register
def _(value: Decimal) -> Token:
    if not value.is_finite():
        return str(value).lower()
    # 1.50 is 1.5, 7.00 is 7 and -0 is 0; exactly, not to the 28 digits of the default context.
    return format(value.normalize(_EXACT), "f") if value else "0"


@token.register
def _(value: datetime) -> Token:
    if value.tzinfo is not None:
        # One instant in two time zones is one value.
        value = value.astimezone(UTC).replace(tzinfo=None)
    return value.isoformat()


@token.register
def _(value: date) -> Token:
    return value.isoformat()


@token.register
def _(value: time) -> Token:
    return value.isoformat()


@token.register
def _(value: timedelta) -> Token:
    return str(value // timedelta(microseconds=1))


@token.register
def _(value: UUID) -> Token:
    return str(value)


@token.register
def _(value: bytes) -> Token:
    return value.hex()


@token.register
def _(value: Enum) -> Token:
    return token(value.value)


def conjunction(conditions: Mapping[str, Any]) -> Conjunction:
    """Return the conjunction of ``{field: value}``."""
    if "" in conditions:
        raise ConfigurationError(f"a condition's field must have a name, got {dict(conditions)!r}")
    return tuple(sorted((field, token(value)) for field, value in conditions.items()))


def row(values: Mapping[str, Any]) -> Row:
    """Return the tokens of a row of ``{field: value}``."""
    return {field: token(value) for field, value in values.items()}


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What a result depends on; immutable, hashable, in one order whatever it was made from."""

    tables: tuple[tuple[str, tuple[Conjunction, ...]], ...] = ()
    """Tables by name, each with its conjunctions, sorted. The keys of the stamps follow this order."""

    @classmethod
    def of(cls, tables: Mapping[str, Iterable[Conjunction]]) -> Dependencies:
        """Return the dependencies on these conjunctions; a table with none of them counts as a whole."""
        return cls(tuple((table, _distinct(tables[table])) for table in sorted(tables)))

    @classmethod
    def coerce(cls, source: Dependencies | str | Mapping[str, Any]) -> Dependencies:
        """Return dependencies from what people write.

        ``{"product": [{"category": 7}, {"category": 8}]}`` depends on two categories of products,
        ``{"product": []}``, ``{"product": [{}]}`` and ``"product"`` on the whole table.
        """
        if isinstance(source, Dependencies):
            return source
        if isinstance(source, str):
            source = {source: ()}
        if not isinstance(source, Mapping):
            raise ConfigurationError(
                f"dependencies must be a table's name or {{table: [{{field: value}}, ...]}}, got {source!r}"
            )
        return cls.of({table: tuple(map(conjunction, _listed(table, source[table]))) for table in source})

    def merge(self, *others: Dependencies) -> Dependencies:
        """Return what depends on any of these."""
        tables: dict[str, set[Conjunction]] = {}
        for dependencies in (self, *others):
            for table, conjunctions in dependencies.tables:
                tables.setdefault(table, set()).update(conjunctions)
        return Dependencies.of(tables)

    def coarsen(self, is_too_fine: Callable[[str, tuple[Conjunction, ...]], bool]) -> Dependencies:
        """Return the dependencies with each table that is too fine as a whole: sound, for it drops more."""
        return Dependencies(
            tuple((t, (ANY_ROW,) if is_too_fine(t, found) else found) for t, found in self.tables)
        )


def _listed(table: str, conjunctions: Any) -> Iterable[Mapping[str, Any]]:
    if isinstance(conjunctions, Mapping) or not isinstance(conjunctions, Iterable):
        raise ConfigurationError(
            f"the conditions on {table!r} must be a list of {{field: value}}, got {conjunctions!r}: "
            f"put it into a list"
        )
    return conjunctions


def _distinct(conjunctions: Iterable[Conjunction]) -> tuple[Conjunction, ...]:
    found = set(conjunctions)
    if not found or ANY_ROW in found:
        return (ANY_ROW,)
    return tuple(sorted(found, key=conjunction_text))


def scheme(conjunction: Conjunction) -> str:
    """Return the field names of a conjunction as scripts know them: quoted and joined by ``&``."""
    return "&".join(quoted(field) for field, _ in conjunction)


def conjunction_text(conjunction: Conjunction) -> str:
    """Return a conjunction as it stands in a key: ``category=7&name=caf%C3%A9``, a field alone for NULL."""
    text = "&".join(quoted(f) if t is None else f"{quoted(f)}={quoted(t)}" for f, t in conjunction)
    return text if len(text) <= LONG_TEXT else "#" + sha1(text.encode(), usedforsecurity=False).hexdigest()


def quoted(text: str) -> str:
    """Return a name or a token as it stands in keys."""
    # Quoting keeps what users store out of the grammar of keys, and makes them ASCII, so that the
    # length at which a text is digested is the same number in Lua, which counts bytes.
    return text if _stays_as_it_is(text) else quote(text, safe="", errors="surrogatepass")


class Rows(list[Row]):
    """Rows of a table that scripts are told of, before a COMMIT and after it: put into words once."""

    @cached_property
    def text(self) -> str:
        """The rows as JSON, with names and tokens as they stand in keys."""
        words = _Words()
        rows = (",".join([f"{words[field]}:{words[token]}" for field, token in row.items()]) for row in self)
        return "[" + ",".join(f"{{{row}}}" for row in rows) + "]"


class _Words(dict[Token, str]):
    """What has been quoted already: of many rows, names are the same and values often are."""

    def __missing__(self, token: Token) -> str:
        # What is quoted has nothing in it that JSON would write in another way.
        word = self[token] = "null" if token is None else f'"{quoted(token)}"'
        return word
