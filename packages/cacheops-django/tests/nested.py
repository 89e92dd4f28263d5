"""Random querysets with others inside of them: in conditions, annotations, orders, joins and parts of unions.

What is drawn is plain data that prints well; `built` makes a queryset of it.
"""

import operator
from collections.abc import Callable
from functools import cache, reduce
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import (
    Case,
    Count,
    Exists,
    F,
    FilteredRelation,
    Max,
    Model,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
    Window,
)
from django.db.models.functions import Coalesce, RowNumber
from hypothesis import strategies as st
from testapp.models import Author, Category, Club, Membership, Place, Post, Profile, Restaurant, Tag

Rows = QuerySet[Any, Any]

NAMES, NUMBERS, KEYS, TRUTHS = ["a", "b"], [0, 1, 2], [1, 2, 3], [True, False]

LOOKUPS: dict[type[Model], dict[str, list[Any]]] = {
    Post: {
        "pk": KEYS, "pk__in": [[1, 2], [3]], "views": NUMBERS, "views__in": [[0, 1]], "views__gt": [0, 1],
        "visible": TRUTHS, "title": NAMES, "category": KEYS, "editor": [*KEYS, None], "editor__isnull": TRUTHS,
        "category__title": NAMES, "category__parent": [*KEYS, None], "editor__name": NAMES,
        "editor__profile__motto": NAMES, "tags": KEYS, "tags__name": NAMES, "tags__isnull": TRUTHS,
        "views__lt": [F("pk")],
    },
    Category: {
        "pk": KEYS, "title": NAMES, "parent": [*KEYS, None], "parent__title": NAMES, "parent__parent": KEYS,
        "posts__views": NUMBERS, "posts__isnull": TRUTHS, "posts__tags": KEYS, "children__title": NAMES,
        "posts__editor": KEYS,
    },
    Author: {
        "pk": KEYS, "name": NAMES, "edited__views": NUMBERS, "edited__isnull": TRUTHS, "profile__motto": NAMES,
        "profile__isnull": TRUTHS, "clubs": KEYS, "membership__club__name": NAMES, "profile__author": KEYS,
    },
    Tag: {"pk": KEYS, "name": NAMES, "posts": KEYS, "posts__views": NUMBERS, "posts__category__title": NAMES},
    Profile: {"pk": KEYS, "author": KEYS, "motto": NAMES, "author__name": NAMES},
    Membership: {"author": KEYS, "club": KEYS, "club__name": NAMES, "author__edited__views": NUMBERS},
    Place: {"pk": KEYS, "name": NAMES, "stars": NUMBERS, "restaurant__cuisine": NAMES, "restaurant__isnull": TRUTHS},
    Restaurant: {"pk": KEYS, "stars": NUMBERS, "cuisine": NAMES, "name": NAMES},
}  # fmt: skip
COLUMNS: dict[type[Model], list[str]] = {
    Post: ["pk", "views", "category_id", "editor_id"],
    Category: ["pk", "parent_id"],
    Author: ["pk"],
    Tag: ["pk"],
    Profile: ["pk", "author_id"],
    Membership: ["pk", "author_id", "club_id"],
    Place: ["pk", "stars"],
    Restaurant: ["pk", "stars"],
}
"""Numbers, all of which can be compared with each other."""

MANY = {Post: "tags", Category: "posts", Author: "edited", Tag: "posts", Place: "restaurant"}
NEAR = {Post: "editor", Category: "parent", Author: "profile", Profile: "author", Membership: "club"}
FAR = {Post: "editor__profile", Category: "posts__editor", Author: "edited__category", Tag: "posts__category"}


class Asked(NamedTuple):
    """A queryset of a model, and what else it is asked for."""

    model: type[Model]
    parts: list[tuple[str, Any]]
    shape: tuple[Any, ...]


def built(asked: Asked) -> Rows:
    """Return what was drawn as a queryset, which has no order unless its shape needs one."""
    rows = asked.model._default_manager.order_by()
    for method, condition in asked.parts:
        rows = getattr(rows, method)(as_condition(condition))
    name, *values = asked.shape
    return SHAPES[name](rows, *values)


# Conditions


def as_condition(condition: Any) -> Any:
    """Return a condition from how it is drawn and printed."""
    kind, *rest = condition
    if kind == "not":
        return ~as_condition(rest[0])
    if kind in OPERATORS:
        return reduce(OPERATORS[kind], map(as_condition, rest))
    return LEAVES[kind](*rest)


OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "and": operator.and_,
    "or": operator.or_,
    "xor": operator.xor,
}


def _around(levels: int, name: str) -> Any:
    return OuterRef(name) if levels == 1 else OuterRef(OuterRef(name))


def _one_of(asked: Asked, column: str) -> Subquery:
    rows = built(asked)
    if not rows.query.is_sliced:
        # What a union is ordered by must be among its columns.
        rows = rows.order_by(*([column] if rows.query.combinator else [column, "pk"]))[:1]
    return Subquery(rows.values(column))


def _is_among(column: str, asked: Asked, inner: str) -> Any:
    rows = built(asked)
    if rows.query.is_sliced and not connection.features.allow_sliced_subqueries_with_in:
        return Q(Exists(rows))
    return Q(**{f"{column}__in": rows.values(inner)})


LEAVES: dict[str, Callable[..., Any]] = {
    "lookup": lambda name, value: Q(**{name: value}),
    "in": _is_among,
    "exists": lambda asked: Q(Exists(built(asked))),
    "value": lambda name, asked, inner: Q(**{name: _one_of(asked, inner)}),
    "around": lambda name, levels, outer: Q(**{name: _around(levels, outer)}),
}


# Shapes


def _together(rows: Rows, method: str, others: list[Asked], is_all: bool, is_nested: bool) -> Rows:
    if method != "union" and not getattr(connection.features, f"supports_select_{method}"):
        return rows
    parts = [built(other) for other in others]
    if is_nested and len(parts) > 1:
        parts = [parts[0].union(*parts[1:])]
    return getattr(rows, method)(*parts, **({"all": True} if is_all and method == "union" else {}))


def _counted(rows: Rows, condition: Any) -> Rows:
    if rows.model not in MANY:
        return rows
    few = Q(n=0) & as_condition(condition)
    return rows.annotate(n=Count(MANY[rows.model])).filter(few | Q(n__gt=1) | Q(n=1, pk=1))


def _ungrouped(rows: Rows, value: int) -> Rows:
    name = MANY.get(rows.model)
    return (
        rows.filter(Q(pk=value)) if name is None else rows.alias(n=Max(name)).filter(Q(n=value) | Q(pk=value))
    )


def _filtered_relation(rows: Rows, value: int, asked: Asked, is_inner: bool) -> Rows:
    if rows.model not in MANY:
        return rows
    name = MANY[rows.model]
    condition = Q(**{f"{name}__pk": value}) | Q(Exists(built(asked)))
    rows = rows.annotate(seen=FilteredRelation(name, condition=condition))
    return rows.filter(seen__pk__in=[1, 2]) if is_inner else rows.annotate(n=Max("seen__pk"))


SHAPES: dict[str, Callable[..., Rows]] = {
    "plain": lambda rows: rows,
    "distinct": lambda rows: rows.distinct(),
    "page": lambda rows, name, first: rows.order_by(name, "pk")[first : first + 1],
    "numbered": lambda rows, name, condition: rows.annotate(
        n=Window(RowNumber(), partition_by=[name], order_by="pk")
    ).filter(Q(n=1) if condition is None else Q(n=1) & as_condition(condition) | Q(n=2, pk__gt=1)),
    "counted": _counted,
    "largest": _ungrouped,
    "together": _together,
    "with a value": lambda rows, asked, column: rows.annotate(x=_one_of(asked, column)),
    "by a value": lambda rows, asked, column, value: rows.annotate(x=_one_of(asked, column)).filter(
        Q(x=value) | Q(pk=value)
    ),
    "with a truth": lambda rows, asked: rows.annotate(x=Exists(built(asked))),
    "in cases": lambda rows, condition: rows.annotate(
        x=Case(When(as_condition(condition), then=Value(1)), default=Value(0))
    ),
    "ordered": lambda rows, asked, column: rows.order_by(Coalesce(_one_of(asked, column), 0), "pk")[:2],
    "grouped": lambda rows, asked, column: (
        rows.annotate(x=_one_of(asked, column)).values("x").annotate(n=Count("pk"))
    ),
    "counted in part": lambda rows, condition: rows.annotate(
        x=Count("pk", filter=as_condition(condition), distinct=True)
    ),
    "filtered relation": _filtered_relation,
    "joined": lambda rows: rows.select_related(NEAR[rows.model]) if rows.model in NEAR else rows,
    "ordered over a relation": lambda rows: (
        rows.order_by(FAR[rows.model], "pk")[:2] if rows.model in FAR else rows
    ),
}


PARTS = (("plain",), ("plain",), ("distinct",), ("joined",))
"""Shapes that any database takes as parts of a union."""


# Drawing them

_up_to = cache(lambda most: st.integers(0, most))


class Drawing:
    """One that is being drawn: plain choices, for it takes long to make strategies of strategies."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw

    def number(self, most: int) -> int:
        return self._draw(_up_to(most))

    def choice(self, pool: Any) -> Any:
        return pool[self.number(len(pool) - 1)]

    def truth(self) -> bool:
        return self.choice(TRUTHS)  # type: ignore[no-any-return]

    def condition(
        self, model: type[Model], around: tuple[type[Model], ...], depth: int, size: int = 2
    ) -> Any:
        """Draw a condition on a model's rows, which may speak of what is around it and have others inside."""
        if size and self.number(2) == 2:
            kind = self.choice(["and", "or", "or", "xor", "not"])
            number = 1 if kind == "not" else 2
            return (kind, *(self.condition(model, around, depth, size - 1) for _ in range(number)))
        kinds = [
            "lookup",
            "lookup",
            *["around"] * bool(around),
            *(["in", "exists", "value"] if depth else []),
        ]
        kind = self.choice(kinds)
        if kind == "lookup":
            name, values = self.choice(list(LOOKUPS[model].items()))
            return (kind, name, self.choice(values))
        column = self.choice(COLUMNS[model])
        if kind == "around":
            levels = 1 + self.number(min(len(around), 2) - 1)
            return (kind, column, levels, self.choice(COLUMNS[around[levels - 1]]))
        asked = self.inside((model, *around), depth - 1)
        if kind == "exists":
            return (kind, asked)
        sign = self.choice(["", "__lt"]) if kind == "value" else ""
        return (kind, column + sign, *self._with_column(asked))

    def inside(self, around: tuple[type[Model], ...], depth: int) -> Asked:
        """Draw a queryset that stands in others, whose models are given from the innermost outwards."""
        model = self.choice(list(LOOKUPS))
        name = self.choice(
            ["plain", "plain", "plain", "distinct", "page", "numbered", "counted", "largest", "together"]
        )
        return self._asked(model, around, depth, self._shape(name, model, around, depth))

    def outermost(self, depth: int) -> Asked:
        """Draw a queryset with others in it."""
        model = self.choice(list(LOOKUPS))
        return self._asked(
            model, (), depth, self._shape(self.choice([*SHAPES, "together"]), model, (), depth)
        )

    def _asked(
        self, model: type[Model], around: tuple[type[Model], ...], depth: int, shape: tuple[Any, ...]
    ) -> Asked:
        parts = [
            (self.choice(["filter", "filter", "filter", "exclude"]), self.condition(model, around, depth))
            for _ in range(self.number(2))
        ]
        return Asked(model, parts, shape)

    def _shape(
        self, name: str, model: type[Model], around: tuple[type[Model], ...], depth: int
    ) -> tuple[Any, ...]:
        if name in ("plain", "distinct", "joined", "ordered over a relation"):
            return (name,)
        if name == "page":
            return (name, self.choice(COLUMNS[model]), self.number(1))
        if name == "numbered":
            condition = self.condition(model, (), 0) if self.truth() else None
            return (name, self.choice(COLUMNS[model]), condition)
        if name == "largest":
            return (name, self.choice(KEYS))
        if name in ("counted", "in cases", "counted in part"):
            # SQLite takes no columns from around a query where that chooses among groups.
            return (name, self.condition(model, (), depth))
        if name == "together":
            method = self.choice(["union", "union", "intersection", "difference"])
            parts = [self._asked(model, around, depth, self.choice(PARTS)) for _ in range(1 + self.number(1))]
            return (name, method, parts, self.truth(), self.truth())
        if name == "filtered relation":
            return (name, self.choice(KEYS), self.inside((), depth - 1), self.truth())
        asked = self.inside((model, *around), depth - 1)
        if name == "with a truth":
            return (name, asked)
        more = [self.choice(KEYS)] if name == "by a value" else []
        return (name, *self._with_column(asked), *more)

    def _with_column(self, asked: Asked) -> tuple[Asked, str]:
        return asked, self.choice(COLUMNS[asked.model])


@st.composite
def outermost(draw: st.DrawFn, depth: int = 2) -> Asked:
    """Draw a queryset with others in it."""
    return Drawing(draw).outermost(depth)


MODELS: tuple[type[Model], ...] = (
    Tag, Category, Author, Club, Post, Profile, Membership, Place, Restaurant,
    Post.tags.through, Author.follows.through,
)  # fmt: skip
"""All whose tables stand in these querysets."""
