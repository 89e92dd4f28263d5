"""Stable forms of a query and of the expressions in it, found by walking them: no SQL is compiled.

Only Django's own classes are known, by exact type, and of those every attribute goes into the form but the
ones that Django computes from the others. So two queries of one form compile to one SQL with equal
parameters, and their rows become equal results. An attribute or a class that is not known here raises
`Unknown`.
"""

import functools
from collections.abc import Iterable
from typing import Any

from django.core.exceptions import FieldError
from django.db.models import F, FilteredRelation, Q, QuerySet
from django.db.models.expressions import (
    BaseExpression,
    Col,
    ExpressionList,
    OrderBy,
    RawSQL,
    Star,
    When,
    WindowFrame,
)
from django.db.models.functions.datetime import TimezoneMixin
from django.db.models.lookups import Lookup
from django.db.models.sql.datastructures import BaseTable, Join
from django.db.models.sql.where import NothingNode, WhereNode
from django.utils import timezone
from django.utils.functional import cached_property

from cacheops_django.fingerprint_models import field_key
from cacheops_django.fingerprint_values import ENCODERS, PLAIN, Encoder, Unknown, encode, learn, tag

_TRUSTED = ("django.db.models.", "django.contrib.postgres.")
"""Where classes live whose SQL follows from their attributes alone."""

_WITHOUT_OUTPUT = (ExpressionList, F, OrderBy, Star, When, WindowFrame)
"""Expressions whose value never comes out of the database by itself: no output field tells them apart."""


@functools.cache
def computed_attributes(cls: type) -> frozenset[str]:
    """Name what instances of a class keep in `__dict__` although it follows from the rest."""
    cached = {
        name
        for base in cls.__mro__
        for name, value in vars(base).items()
        if isinstance(value, cached_property)
    }
    return frozenset(cached)


_NOTED = frozenset({"is_summary", "_constructor_args"})
"""What Django notes on columns and lookups, and their SQL does not look at."""

_COL = computed_attributes(Col) | {
    "alias",
    "is_summary",
    "possibly_multivalued",
    "target",
    "_constructor_args",
}
_LOOKUP = computed_attributes(Lookup) | {
    "bilateral_transforms",
    "is_summary",
    "lhs",
    "rhs",
    "_constructor_args",
}
_Q = computed_attributes(Q) | {"children", "connector", "negated"}
_WHERE = computed_attributes(WhereNode) | {"children", "connector", "negated", "resolved"}
_JOIN = frozenset(
    {
        "filtered_relation",
        "join_cols",
        "join_field",
        "join_fields",
        "join_type",
        "nullable",
        "parent_alias",
        "table_alias",
        "table_name",
    }
)

# So many attributes do these have from birth, all of them looked at here: only where there are more, it is
# worth the time to see which.
_FRESH_COL = 4
_FRESH_LOOKUP = 4
_FRESH_WHERE = 3


def _check(node: Any, known: frozenset[str]) -> None:
    if not known.issuperset(node.__dict__):
        raise Unknown(f"{tag(type(node))} carries {sorted(node.__dict__.keys() - known)}")


def is_fresh_where(node: WhereNode) -> bool:
    """Tell whether a part of a condition carries nothing but what it was made with."""
    return len(node.__dict__) == _FRESH_WHERE


def is_fresh_lookup(node: Any) -> bool:
    """Tell whether a lookup carries nothing but what it was made with."""
    return len(node.__dict__) == _FRESH_LOOKUP


def _where(node: WhereNode) -> tuple[Any, ...]:
    children = [encode(child) for child in node.children]
    if len(node.__dict__) != _FRESH_WHERE:
        _check(node, _WHERE)
        if node.resolved:
            return ("resolved where", node.connector, node.negated, children)
    return ("where", node.connector, node.negated, children)


def _q(node: Q) -> tuple[Any, ...]:
    _check(node, _Q)
    return ("Q", node.connector, node.negated, *map(encode, node.children))


def _col(node: Col) -> tuple[Any, ...]:
    attributes = node.__dict__
    target, output = attributes["target"], attributes["output_field"]
    if len(attributes) != _FRESH_COL:
        _check(node, _COL)
        if node.possibly_multivalued:
            return ("multivalued col", node.alias, field_key(target), field_key(output))
    if output is target:
        return ("col", attributes["alias"], field_key(target))
    return ("col", attributes["alias"], field_key(target), field_key(output))


def _base_table(table: BaseTable) -> tuple[Any, ...]:
    return ("table", table.table_name, table.table_alias)


def _join(join: Join) -> tuple[Any, ...]:
    _check(join, _JOIN)
    # A generic relation joins with the id of a content type: that comes from the database, not from the code.
    field: Any = join.join_field
    restriction = field.get_extra_restriction(join.table_alias, join.parent_alias)
    return (
        "join",
        join.table_name,
        join.parent_alias,
        join.table_alias,
        join.join_type,
        field_key(join.join_field),
        join.nullable,
        encode(join.filtered_relation),
        encode(restriction),
    )


def _filtered_relation(relation: FilteredRelation) -> tuple[Any, ...]:
    return (
        "filtered relation",
        relation.relation_name,
        relation.alias,
        encode(relation.condition),
        encode(vars(relation)["resolved_condition"]),
    )


def _queryset(queryset: QuerySet[Any]) -> tuple[Any, ...]:
    return ("queryset", vars(queryset)["_db"], encode(queryset.query))


def _lookup(cls: type) -> Encoder:
    name = tag(cls)

    def encode_lookup(node: Any) -> tuple[Any, ...]:
        attributes = node.__dict__
        if len(attributes) != _FRESH_LOOKUP:
            _check(node, _LOOKUP)
        lhs, rhs = attributes["lhs"], attributes["rhs"]
        form: tuple[Any, ...] = (
            name,
            _col(lhs) if type(lhs) is Col else encode(lhs),
            rhs if type(rhs) in PLAIN else encode(rhs),
        )
        if attributes["bilateral_transforms"]:
            form = (*form, encode(node.bilateral_transforms))
        return form

    return encode_lookup


def _expression(cls: type) -> Encoder:
    name = tag(cls)
    ignored = computed_attributes(cls) | {"output_field", "_constructor_args"}
    has_output = issubclass(cls, BaseExpression) and not issubclass(cls, _WITHOUT_OUTPUT)
    is_local = issubclass(cls, TimezoneMixin)

    def encode_expression(node: Any) -> tuple[Any, ...]:
        attributes = node.__dict__
        form = [name]
        for attribute in sorted(attributes.keys() - ignored):
            value = attributes[attribute]
            form += (attribute, value if type(value) in PLAIN else encode(value))
        if "_constructor_args" in attributes:
            form += map(_argument, _arguments(attributes["_constructor_args"]))
        if has_output:
            form.append(output_form(node))
        if is_local:
            form.append(timezone.get_current_timezone_name())
        return tuple(form)

    return encode_expression


def _arguments(constructor_args: tuple[tuple[Any, ...], dict[str, Any]]) -> Iterable[Any]:
    args, kwargs = constructor_args
    return (*args, *kwargs, *kwargs.values()) if kwargs else args


def _argument(value: Any) -> Any:
    """Encode how an expression was spelled: in ORDER BY, Django tells Lower("name") from Lower(F("name")).

    An argument that is an expression itself stands resolved among the attributes, with its own spelling.
    """
    if type(value) in PLAIN:
        return value
    return tag(type(value)) if isinstance(value, (BaseExpression, QuerySet)) else encode(value)


def output_form(node: Any) -> Any:
    # Asked for, not looked up: whether Django has computed it already must not make a difference.
    try:
        field = node._output_field_or_none
    except (AttributeError, FieldError):
        return None
    return None if field is None else field_key(field)


ENCODERS.update(
    {
        BaseTable: _base_table,
        Col: _col,
        FilteredRelation: _filtered_relation,
        Join: _join,
        NothingNode: lambda node: ("nothing",),
        Q: _q,
        WhereNode: _where,
    }
)


@learn
def _nodes(cls: type) -> Encoder | None:
    """Find the encoder of a class of Django's, for expressions of every kind."""
    if issubclass(cls, QuerySet):
        return _queryset
    if not cls.__module__.startswith(_TRUSTED) or cls is RawSQL:
        return None
    if issubclass(cls, Lookup):
        return _lookup(cls)
    if issubclass(cls, (BaseExpression, F)):
        return _expression(cls)
    return None
