"""From a query's conditions to conjunctions: what a row must meet for the result to depend on it.

The rule: *a table may be narrowed to conjunctions only if a row that meets none of them, before and after a change,
cannot alter the result.*

**Conditions.** What a query selects from are tuples with one row for each alias, or nothing in its place where it is
joined by an outer join; the ``where`` keeps some of them. Each tuple that is kept meets one branch of the condition's
disjunction, and so the equalities in it, each of them between a column of an alias and a value: its *facts*. A row
that differs from a fact about its alias is in no tuple that is kept. A negation says nothing; neither does "is null"
about an alias that may have no row, which any row can change. If a table has several aliases, a row must differ from
the facts about each, and then may be changed in one alias after the other.

**Joins.** Where ``a`` is joined to ``b`` on ``a.x = b.y``, and both columns are canonicalised alike, facts are carried:

*Upwards*, from ``b.y = v`` in the ``where`` to ``a.x = v``: a tuple that is kept has a row of ``b``, which has joined.

*Downwards*, from ``a.x = v`` to ``b.y = v``, also over an outer join. Let ``r`` be a row of ``b`` with another ``y``
before the change and after it, or not there. Could the change add a tuple to those that are kept, or take one away?

- One with ``r`` in it? There ``r`` has joined a row of ``a`` whose ``x`` is the ``y`` of ``r``, and is not ``v``; but
  in the branch that the tuple meets, ``a.x = v``.
- One with nothing in the place of ``b``, because no row joins, or none but ``r``? Then there is a row of ``a`` in the
  tuple, with ``x = v``, for which it makes no difference whether ``r`` is there, for it joins other rows of ``a``; or
  there is nothing in the place of ``a`` either, and that joins no row at all.

So a fact that was carried is one as well, from which others are carried in the same way: if there is a row of its
alias in a tuple that is kept, it has this value. Whatever else stands in the join (other pairs of columns, the
condition of a filtered relation, the type of what a generic relation belongs to) is added to it by AND and makes fewer
rows join. ``NULL`` joins nothing, and what is carried from it, "is null", is more than enough.

Two facts that contradict each other about one column say that a branch has no tuples if both stand in the ``where``.
If one was carried it may only say that no row joins: the first is kept, and the branch too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from django.db.models.expressions import Col
from django.db.models.lookups import Exact, In, IsNull
from django.db.models.sql.constants import INNER, LOUTER
from django.db.models.sql.datastructures import Join
from django.db.models.sql.where import AND, OR, WhereNode

from cacheops_core.conditions import Token

from . import conf, rows
from .selections import Tables

__all__ = ["ANY", "Branch", "branches"]

MOST_BRANCHES = 64
"""Branches of a disjunction above which a part of a condition counts as "any row"."""

Branch = dict[str, frozenset[tuple[str, Token]]]
"""What each alias must meet in one branch of a disjunction."""

ANY: list[Branch] = [{}]
"""The condition that says nothing."""


def branches(where: WhereNode | None, tables: Tables, vendor: str) -> list[Branch]:
    """Return the facts about each alias of a SELECT, by branches of the condition on its tuples."""
    found = ANY if where is None else _branches(where, tables, vendor)
    if found == ANY:
        return found
    links = [*_links(tables, vendor)]
    return [_carried(branch, links) for branch in found]


class Link(NamedTuple):
    """Two columns that are equal in each row that a join has joined."""

    above: str
    """The alias that is joined to."""
    left: str
    below: str
    """The alias that is joined."""
    right: str


def _links(tables: Tables, vendor: str) -> Iterator[Link]:
    """Yield the links along which facts are carried, those of an alias before those of what is joined to it."""
    for alias, join in tables.items():
        if type(join) is not Join or join.join_type not in (INNER, LOUTER):
            continue
        # An alias that is not among them is one of a SELECT around this one.
        if (above := tables.get(join.parent_alias)) is None:
            continue
        # The types of Django 6.1 do not know it; before 6.0 it may be None.
        for left, right in getattr(join, "join_fields", None) or ():
            # The columns that narrow are those of a model's own table.
            if (
                above.table_name == left.model._meta.db_table
                and join.table_name == right.model._meta.db_table
                and left.column in rows.columns(left.model, vendor)
                and right.column in rows.columns(right.model, vendor)
                and rows.are_alike(left, right)
            ):
                yield Link(join.parent_alias, left.column, alias, right.column)


def _carried(branch: Branch, links: list[Link]) -> Branch:
    """Return a branch with the facts that follow from its own."""
    facts = {alias: dict(conditions) for alias, conditions in branch.items()}
    for above, left, below, right in reversed(links):
        if (token := facts.get(below, {}).get(right)) is not None:
            facts.setdefault(above, {}).setdefault(left, token)
    for above, left, below, right in links:
        if left in facts.get(above, {}):
            facts.setdefault(below, {}).setdefault(right, facts[above][left])
    return {alias: frozenset(conditions.items()) for alias, conditions in facts.items()}


def _branches(node: Any, tables: Tables, vendor: str) -> list[Branch]:
    """Return the branches of a condition's disjunction: a result's row meets all that one of them says."""
    if not isinstance(node, WhereNode):
        return _of_lookup(node, tables, vendor)
    if node.negated or node.connector not in (AND, OR) or not node.children:
        return ANY
    parts = [_branches(child, tables, vendor) for child in node.children]
    if node.connector == OR:
        merged = [branch for part in parts for branch in part]
    else:
        merged = ANY
        for part in parts:
            if len(merged) * len(part) > MOST_BRANCHES:
                # Leaving out a condition that must be met too makes the others say enough.
                continue
            merged = [
                branch for left in merged for right in part if _is_possible(branch := _both(left, right))
            ]
    return merged if len(merged) <= MOST_BRANCHES else ANY


def _both(left: Branch, right: Branch) -> Branch:
    return {alias: left.get(alias, frozenset()) | right.get(alias, frozenset()) for alias in left | right}


def _is_possible(branch: Branch) -> bool:
    """Tell whether no column must have two values at once, for then no row is in this branch."""
    return all(len({column for column, _ in conditions}) == len(conditions) for conditions in branch.values())


def _of_lookup(lookup: Any, tables: Tables, vendor: str) -> list[Branch]:
    """Return the values that a lookup lets a column have, as branches."""
    column = getattr(lookup, "lhs", None)
    if (
        not isinstance(lookup, Exact | In | IsNull)
        or type(lookup).__module__.split(".")[0] != "django"
        or type(column) is not Col
        or getattr(lookup, "bilateral_transforms", None)
    ):
        return ANY
    join = tables.get(column.alias)
    model = column.target.model
    name = column.target.column or ""
    known = rows.columns(model, vendor).get(name)
    if join is None or known is None or model._meta.db_table != join.table_name:
        return ANY
    canonical = known[1]
    try:
        found = {canonical(value) for value in _values(lookup, getattr(join, "join_type", None) == LOUTER)}
    except rows.Unknown:
        return ANY
    return [{column.alias: frozenset({(name, value)})} for value in sorted(found, key=str)]


def _values(lookup: Any, is_outer: bool) -> list[Any]:
    """Return the values that a lookup compares with; raise Unknown where they do not narrow."""
    if isinstance(lookup, IsNull):
        # In an outer join "is null" may mean that there is no row, which any row can change.
        if lookup.rhs is not True or is_outer:
            raise rows.Unknown(lookup)
        return [None]
    if isinstance(lookup, Exact):
        values = [lookup.rhs]
    elif isinstance(lookup.rhs, list | tuple | set | frozenset):
        # NULL is in no list.
        values = [value for value in lookup.rhs if value is not None]
        if not values or len(values) > conf.current().long_disjunction:
            raise rows.Unknown(lookup)
    else:
        raise rows.Unknown(lookup)
    if any(value is None or hasattr(value, "resolve_expression") for value in values):
        raise rows.Unknown(lookup)
    return values
