"""What questions have in common that differ only in the values which they compare columns with.

Who asks for one product after another asks something new each time, whose key nobody has seen; but what SQL it becomes,
which tables that names and what narrows them is known from the first. So that is found out, by compiling and walking
the query, once for all that are alike, and of the others only the values are looked at.

A pattern is a fingerprint in which the types of these values stand for them. It is for the plainest conditions alone:
lookups of Django's own between a column and a value of a type whose values all become the same SQL. (``None``, booleans
and lists do not.)
"""

from __future__ import annotations

import datetime
import decimal
import uuid
from typing import Any

from django.db.models.expressions import Col
from django.db.models.lookups import IntegerFieldOverflow, Lookup
from django.db.models.sql import Query
from django.db.models.sql.where import WhereNode

from .fingerprint_nodes import is_fresh_lookup, is_fresh_where
from .fingerprint_query import encode_query
from .fingerprint_values import Unknown, encode, tag

ALIKE = frozenset(
    {int, float, str, decimal.Decimal, datetime.date, datetime.datetime, datetime.time, uuid.UUID}
)
"""Exact types of which one value becomes the same SQL as another."""

MODULES = frozenset({"django.db.models.lookups", "django.db.models.fields.related_lookups"})

BIG = frozenset({"BigAutoField", "BigIntegerField", "PositiveBigIntegerField"})
"""Types of columns of eight bytes; other whole numbers have four, or less."""


def encode_pattern(query: Query) -> tuple[Any, ...]:
    """Return the form of a query without its values; raise `Unknown` if it has no pattern."""
    return encode_query(query, _where)


def _where(node: Any) -> tuple[Any, ...]:
    if type(node) is WhereNode:
        if not is_fresh_where(node):
            raise Unknown("a condition that has been worked on")
        return ("where", node.connector, node.negated, [_where(child) for child in node.children])
    if (
        not isinstance(node, Lookup)
        or type(node).__module__ not in MODULES
        or not is_fresh_lookup(node)
        or type(node.lhs) is not Col
        or type(node.rhs) not in ALIKE
        or node.bilateral_transforms
        or (isinstance(node, IntegerFieldOverflow) and _overflows(node))
    ):
        raise Unknown("a condition that is more than a comparison")
    return (tag(type(node)), encode(node.lhs), tag(type(node.rhs)))


def _overflows(lookup: Any) -> bool:
    """Tell whether a column may be too small for a number, of which Django asks some databases nothing at all."""
    bits = 63 if lookup.lhs.output_field.get_internal_type() in BIG else 31
    return not -(2**bits) <= lookup.rhs < 2**bits
