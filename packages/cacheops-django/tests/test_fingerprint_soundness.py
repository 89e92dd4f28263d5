"""Random querysets: whichever have equal keys have equal SQL, equal typed parameters and equal results."""

import datetime
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

import pytest
from django.core.exceptions import EmptyResultSet, FieldError
from django.db.models import (
    Avg,
    Case,
    Count,
    Exists,
    F,
    Max,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
    Value,
    When,
)
from django.db.models.functions import Coalesce, Length, Lower, TruncDate, Upper
from django.db.utils import DatabaseError
from hypothesis import given, settings
from hypothesis import strategies as st
from testapp.models import Category, Color, Everything, Post, Tag

from cacheops_django.fingerprints import fingerprint

pytestmark = pytest.mark.django_db

NOON = datetime.datetime(2024, 5, 1, 12, tzinfo=datetime.UTC)

# Few values of many types, so that queries that are nearly the same are common.
LOOKUPS: dict[str, list[Any]] = {
    "pk": [1, 2, "1", True],
    "views": [1, 1.0, True, Decimal(1), F("pk")],
    "views__gt": [1, 1.5, F("pk") + 1],
    "views__in": [[1, 2], [2, 1], (1, 2), {1, 2}, [1, None]],
    "views__range": [(1, 2), (1, 3)],
    "title": ["a", "b", Color.RED, "red"],
    "title__icontains": ["a", 1],
    "title__in": [["a"], ["a", Color.RED], ["a", "red"]],
    "rating__isnull": [True, False],
    "rating": [1, 1.0, True, "1"],
    "visible": [True, False, 1],
    "created__year": [2024, 2023],
    "created__gte": [NOON, NOON + datetime.timedelta(hours=1)],
    "category": [1, Category(pk=1)],
    "category__title": ["a", "b"],
    "category__parent__title": ["a"],
    "editor": [1, None],
    "editor__name": ["a"],
    "tags": [1, Tag(pk=1)],
    "tags__name": ["a", "b"],
    "tags__in": [[1], [Tag(pk=1)]],
}
OF_ANNOTATIONS: dict[str, list[Any]] = {
    "x__gt": [0],
    "x__isnull": [True, False],
    "y": [1, True],
}
ANNOTATIONS: dict[str, Callable[[], Any]] = {
    "lower": lambda: Lower("title"),
    "lower of a reference": lambda: Lower(F("title")),
    "upper": lambda: Upper("title"),
    "length": lambda: Length("title"),
    "one": lambda: Value(1),
    "truth": lambda: Value(True),
    "sum": lambda: F("views") + 1,
    "float sum": lambda: F("views") + 1.0,
    "coalesce": lambda: Coalesce("rating", 0.0),
    "case": lambda: Case(When(views__gt=1, then=Value(1)), default=Value(0)),
    "case of truths": lambda: Case(When(views__gt=1, then=Value(True)), default=Value(False)),
    "date": lambda: TruncDate("created"),
    "count": lambda: Count("tags"),
    "distinct count": lambda: Count("tags", distinct=True),
    "filtered count": lambda: Count("tags", filter=Q(tags__name="a")),
    "best": lambda: Max("tags__pk"),
    "exists": lambda: Exists(Tag.objects.filter(posts=OuterRef("pk"))),
    "subquery": lambda: Subquery(Tag.objects.filter(posts=OuterRef("pk")).values("name")[:1]),
}
ORDERS: list[Callable[[], list[Any]]] = [
    lambda: ["pk"],
    lambda: ["-pk"],
    lambda: ["category__title", "pk"],
    lambda: [Lower("title")],
    lambda: [Lower(F("title"))],
    lambda: [F("rating").desc(nulls_last=True)],
    lambda: [F("rating").desc()],
    lambda: ["?"],
    list,
]
FORMS: list[Callable[[Any], Any]] = [
    lambda queryset: queryset.values("title"),
    lambda queryset: queryset.values("pk", "category__title"),
    lambda queryset: queryset.values(z=F("title")),
    lambda queryset: queryset.values_list("title"),
    lambda queryset: queryset.values_list("title", flat=True),
    lambda queryset: queryset.values_list("title", named=True),
    lambda queryset: queryset.only("title"),
    lambda queryset: queryset.defer("title"),
    lambda queryset: queryset.select_related("category"),
    lambda queryset: queryset.select_related("category__parent", "editor"),
    lambda queryset: queryset.values("category").annotate(n=Avg("rating")),
]
AGGREGATES: list[Callable[[], Any]] = [
    lambda: Sum("views"),
    lambda: Sum(F("views")),
    lambda: Sum("views", default=0),
    lambda: Count("pk", filter=Q(views=1)),
    lambda: Count("pk", filter=Q(views=True)),
]


class Recipe(NamedTuple):
    """How to build a queryset; the same one builds it again from nothing."""

    conditions: list[Any]
    annotations: list[str]
    of_annotations: list[Any]
    order: int | None
    form: int | None
    is_distinct: bool
    is_reversed: bool
    part: tuple[int, int] | None
    union: "Recipe | None"

    def build(self) -> "QuerySet[Any, Any]":
        queryset: Any = Post.objects.all()
        for condition in self.conditions:
            queryset = queryset.filter(make_condition(condition))
        for name, annotation in zip("xy", self.annotations, strict=False):
            queryset = queryset.annotate(**{name: ANNOTATIONS[annotation]()})
        for condition in self.of_annotations:
            queryset = queryset.filter(make_condition(condition))
        if self.form is not None:
            queryset = FORMS[self.form](queryset)
        if self.order is not None:
            queryset = queryset.order_by(*ORDERS[self.order]())
        if self.is_distinct:
            queryset = queryset.distinct()
        if self.is_reversed:
            queryset = queryset.reverse()
        if self.union is not None:
            queryset = queryset.union(self.union.build())
        return queryset if self.part is None else queryset[slice(*self.part)]


def make_condition(condition: Any) -> Q:
    match condition:
        case ("not", inner):
            return ~make_condition(inner)
        case ("in a subquery", inner):
            return Q(pk__in=Post.objects.filter(make_condition(inner)))
        case (connector, one, other) if connector in {"and", "or", "xor"}:
            left, right = make_condition(one), make_condition(other)
            return {"and": left.__and__, "or": left.__or__, "xor": left.__xor__}[connector](right)
        case (name, value):
            return Q(**{name: value})
    raise AssertionError(condition)


def leaves(lookups: dict[str, list[Any]]) -> Any:
    return st.sampled_from([(name, value) for name, values in lookups.items() for value in values])


conditions = st.recursive(
    leaves(LOOKUPS),
    lambda inner: st.one_of(
        st.tuples(st.just("not"), inner),
        st.tuples(st.just("in a subquery"), inner),
        st.tuples(st.sampled_from(["and", "or", "xor"]), inner, inner),
    ),
    max_leaves=3,
)


def recipes(union: Any) -> Any:
    return st.builds(
        Recipe,
        st.lists(conditions, max_size=2),
        st.lists(st.sampled_from(list(ANNOTATIONS)), max_size=2),
        st.lists(leaves(OF_ANNOTATIONS), max_size=1),
        st.none() | st.sampled_from(range(len(ORDERS))),
        st.none() | st.sampled_from(range(len(FORMS))),
        st.booleans(),
        st.booleans(),
        st.none() | st.sampled_from([(0, 1), (0, 2), (1, 2)]),
        union,
    )


plain = recipes(st.none())
anything = plain | recipes(plain)
ops = st.sampled_from(["fetch", "count", *range(len(AGGREGATES))])


def make_op(op: Any) -> Any:
    return op if isinstance(op, str) else ("aggregate", (("n", AGGREGATES[op]()),))


def build(recipe: Recipe) -> Any:
    """Build a queryset, or return None for what Django refuses."""
    try:
        queryset = recipe.build()
        meaning(queryset)
    except (EmptyResultSet, DatabaseError, FieldError, TypeError, ValueError):
        return None
    return queryset


def typed(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return (type(value), *map(typed, value))
    return (type(value), repr(value))


def meaning(queryset: Any) -> Any:
    """Return what Django makes of a query: SQL, typed parameters, and what becomes of the rows."""
    compiler = queryset.query.clone().get_compiler("default")
    sql, params = compiler.as_sql()
    columns = [(alias, *conversion(expression, compiler)) for expression, _, alias in compiler.select]
    query = queryset.query
    names = query.values_select, list(query.annotation_select), query.selected and list(query.selected)
    loaded = query.deferred_loading, query.select_related
    return sql, typed(params), columns, names, loaded, queryset._iterable_class


def conversion(expression: Any, compiler: Any) -> Any:
    converters = expression.get_db_converters(compiler.connection)
    return type(expression), type(expression.output_field), len(converters)


def key(queryset: Any, op: Any = "fetch") -> bytes:
    return fingerprint(queryset.query, "default", make_op(op), queryset.model, queryset._iterable_class)


def test_equal_keys_imply_equal_queries() -> None:
    known: dict[bytes, Any] = {}

    @settings(max_examples=400, deadline=None)
    @given(recipe=anything, op=ops)
    def check(recipe: Recipe, op: Any) -> None:
        queryset = build(recipe)
        if queryset is not None:
            of_this = meaning(queryset), typed(op)
            assert known.setdefault(key(queryset, op), of_this) == of_this

    check()
    assert len(known) > 50


@settings(max_examples=100, deadline=None)
@given(recipe=anything)
def test_the_same_query_built_again_has_an_equal_key(recipe: Recipe) -> None:
    one, other = build(recipe), build(recipe)
    if one is not None:
        assert key(one) == key(other)


@settings(max_examples=100, deadline=None)
@given(recipe=plain, data=st.data())
def test_a_small_change_changes_the_key_with_the_query(recipe: Recipe, data: Any) -> None:
    changed = recipe._replace(conditions=[*recipe.conditions[:-1], data.draw(leaves(LOOKUPS))])
    one, other = build(recipe), build(changed)
    if one is not None and other is not None and meaning(one) != meaning(other):
        assert key(one) != key(other)


scalars = st.sampled_from(
    [0, 1, True, 1.0, -0.0, 0.0, "1", "", b"1", None, Color.RED, "red", Decimal(1), NOON, NOON.date()]
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=2) | st.lists(inner, max_size=2).map(tuple),
    max_leaves=4,
)


@settings(max_examples=100, deadline=None)
@given(one=values, other=values)
def test_values_have_equal_keys_only_if_they_and_their_types_are_equal(one: Any, other: Any) -> None:
    def of(value: Any) -> bytes:
        return key(Everything.objects.filter(data=value))

    assert (of(one) == of(other)) is (typed(one) == typed(other))
