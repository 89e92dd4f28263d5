"""Random rows, queries and writes, in and out of transactions: the cache never answers what the database would not.

``CACHEOPS_TEST_EXAMPLES`` says how many programs are tried; a few by default, hundreds in the integration tests.
"""

import operator
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import reduce
from typing import Any, NamedTuple

import pytest
from answers import deep, uncached
from copies import keeping_copies
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ObjectDoesNotExist
from django.db import DatabaseError, connection, transaction
from django.db.models import Count, Exists, F, Max, Model, OuterRef, Q, QuerySet, Subquery, Sum, Window
from django.db.models.functions import RowNumber
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st
from nested import Asked, built, outermost
from numbering import go_on_counting
from testapp.models import (
    Author,
    Box,
    Category,
    City,
    Club,
    Membership,
    Pizzeria,
    Place,
    Post,
    Profile,
    Restaurant,
    Seat,
    StarredPlace,
    Tag,
    Token,
    TokenUse,
)

from cacheops_django import caches, scopes

EXAMPLES = int(os.environ.get("CACHEOPS_TEST_EXAMPLES", "12"))

# Few values of each kind, so that rows often meet the conditions of queries.
NAMES, NUMBERS, KEYS, TRUTHS = ["a", "b"], [0, 1, 2], [1, 2, 3], [True, False]
UUIDS = [uuid.UUID(int=n) for n in KEYS]


class Key(NamedTuple):
    """A foreign key, to a row that is looked up when the value is used."""

    model: type[Model]
    is_nullable: bool = False


FIELDS: dict[type[Model], dict[str, Any]] = {
    Author: {"name": NAMES},
    Tag: {"name": NAMES},
    City: {"name": NAMES},
    Category: {"title": NAMES, "parent": Key(Category, True)},
    Post: {
        "title": NAMES, "views": NUMBERS, "visible": TRUTHS, "rating": [None, 1.5],
        "category": Key(Category), "editor": Key(Author, True),
    },
    Profile: {"author": Key(Author), "motto": NAMES},
    Club: {"name": NAMES},
    Membership: {"author": Key(Author), "club": Key(Club)},
    Place: {"name": NAMES, "stars": NUMBERS},
    StarredPlace: {"name": NAMES, "stars": NUMBERS},
    Restaurant: {"name": NAMES, "stars": NUMBERS, "cuisine": NAMES, "city": Key(City, True)},
    Pizzeria: {"name": NAMES, "stars": NUMBERS, "cuisine": NAMES, "city": Key(City, True), "ovens": NUMBERS},
    Token: {"name": NAMES},
    TokenUse: {"token": Key(Token), "count": NUMBERS},
    Seat: {"taken": TRUTHS},
    Box: {"width": NUMBERS, "height": NUMBERS},
}  # fmt: skip
UNIQUE = {Profile: "author", Club: "name"}
RELATIONS: list[tuple[type[Model], str, type[Model]]] = [
    (Post, "tags", Tag), (Tag, "posts", Post), (Author, "follows", Author), (Author, "followers", Author),
    (Author, "clubs", Club), (Club, "members", Author), (Author, "edited", Post), (Category, "posts", Post),
    (Category, "children", Category), (City, "restaurant_set", Restaurant), (Token, "uses", TokenUse),
]  # fmt: skip

LOOKUPS: dict[type[Model], dict[str, list[Any]]] = {
    Post: {
        "pk": KEYS, "pk__in": [[1, 2], [3]], "views": NUMBERS, "views__in": [[0, 1], [2]], "views__gt": [0, 1],
        "visible": TRUTHS, "title": NAMES, "rating__isnull": TRUTHS, "category": KEYS, "category__in": [[1, 3]],
        "category__title": NAMES, "category__parent": KEYS, "category__parent__isnull": TRUTHS,
        "category__parent__title": NAMES, "editor": [*KEYS, None], "editor__isnull": TRUTHS,
        "editor__name": NAMES, "tags": KEYS, "tags__name": NAMES, "tags__isnull": TRUTHS, "views__lt": [F("pk")],
    },
    Category: {
        "pk": KEYS, "title": NAMES, "parent": KEYS, "parent__isnull": TRUTHS, "parent__title": NAMES,
        "parent__parent": KEYS, "posts": KEYS, "posts__views": NUMBERS, "posts__tags__name": NAMES,
        "posts__isnull": TRUTHS, "children__title": NAMES, "children__posts__visible": TRUTHS,
    },
    Author: {
        "pk": KEYS, "profile__author": KEYS, "name": NAMES, "edited__views": NUMBERS,
        "edited__isnull": TRUTHS, "follows": KEYS, "followers__name": NAMES,
        "clubs": KEYS, "clubs__name": NAMES, "membership__since__isnull": TRUTHS,
        "profile__motto": NAMES, "profile__isnull": TRUTHS,
    },
    Tag: {"pk": KEYS, "name": NAMES, "posts": KEYS, "posts__views": NUMBERS, "posts__category__title": NAMES},
    Place: {
        "pk": KEYS, "restaurant__pizzeria": KEYS, "name": NAMES, "stars": NUMBERS,
        "restaurant__cuisine": NAMES, "restaurant__pizzeria__ovens": NUMBERS,
        "restaurant__isnull": TRUTHS,
    },
    StarredPlace: {"name": NAMES, "stars": NUMBERS},
    Restaurant: {
        "pk": KEYS, "name": NAMES, "stars": NUMBERS, "cuisine": NAMES, "city": KEYS, "city__name": NAMES,
        "pizzeria__isnull": TRUTHS,
    },
    Pizzeria: {
        "pk": KEYS, "name": NAMES, "stars": NUMBERS, "cuisine": NAMES, "city": KEYS, "city__isnull": TRUTHS,
        "ovens": NUMBERS,
    },
    TokenUse: {"token": UUIDS, "token__name": NAMES, "count": NUMBERS},
    Seat: {"hall": KEYS, "number": KEYS, "taken": TRUTHS, "pk": [(1, 1), (2, 1)]},
    Box: {"width": NUMBERS, "area": [0, 1, 2, 4]},
}  # fmt: skip
MANY = {Post: "tags", Category: "posts", Author: "edited", Tag: "posts", Restaurant: "pizzeria"}
OPTIONAL = {Post: "editor__profile", Category: "parent__parent", Author: "profile", Place: "restaurant__city"}
ONE = {Post: "category", Category: "parent", TokenUse: "token", Restaurant: "city"}

Rows = QuerySet[Any, Any]


def _subquery(rows: Rows) -> Rows:
    return rows.model._default_manager.filter(pk__in=rows.order_by().values("pk"))


def _union(rows: Rows) -> Rows:
    # Django cannot order a union by a key of several columns.
    return rows if rows.model is Seat else rows.order_by().union(_everything(rows)).order_by("pk")


def _difference(rows: Rows) -> Rows:
    if rows.model is Seat or not connection.features.supports_select_difference:
        return rows
    return _everything(rows).difference(rows.order_by()).order_by("pk")


def _everything(rows: Rows) -> Rows:
    # Some databases take no ORDER BY in a part of a union.
    return rows.model._default_manager.order_by()


def _other(rows: Rows) -> Rows:
    if rows.model not in MANY:
        return rows
    related = rows.model._meta.get_field(MANY[rows.model])
    return related.related_model._default_manager.filter(
        **{f"{related.remote_field.name}__in": rows.order_by().values("pk")}
    )


def _with_latest(rows: Rows) -> Rows:
    newest = rows.model._default_manager.filter(pk__lte=OuterRef("pk")).order_by("-pk").values("pk")
    return rows.annotate(newest=Subquery(newest[:1]), twice=Exists(newest[1:]))


def _related(shape: Callable[[Rows, str], Rows], names: dict[type[Model], str]) -> Callable[[Rows], Rows]:
    return lambda rows: shape(rows, names[rows.model]) if rows.model in names else rows


SHAPES: dict[str, Callable[[Rows], Rows]] = {
    "plain": lambda rows: rows,
    "reversed": lambda rows: rows.order_by("-pk"),
    "distinct": lambda rows: rows.distinct(),
    "page": lambda rows: rows[:2],
    "later page": lambda rows: rows[1:3],
    "values": lambda rows: rows.values(),
    "flat": lambda rows: rows.values_list("pk", flat=True),
    "only": lambda rows: rows.only("pk"),
    "counted": _related(lambda rows, name: rows.annotate(n=Count(name)), MANY),
    "having": _related(lambda rows, name: rows.annotate(n=Count(name)).filter(n__gt=0), MANY),
    "prefetched": _related(lambda rows, name: rows.prefetch_related(name), {**MANY, Restaurant: "city"}),
    "joined": _related(lambda rows, name: rows.select_related(name), ONE),
    "joined outside": _related(lambda rows, name: rows.select_related(name), OPTIONAL),
    "counted outside": _related(lambda rows, name: rows.annotate(n=Count(name)), OPTIONAL),
    "ordered by a relation": _related(lambda rows, name: rows.order_by(name, "pk"), ONE),
    "grouped": _related(
        lambda rows, name: rows.order_by(name).values(name).annotate(n=Count("pk"), m=Max("pk")), ONE
    ),
    "numbered": lambda rows: rows if rows.model is Seat else rows.annotate(n=Window(RowNumber(), order_by="pk")),
    "of a subquery": _subquery,
    "of another table": lambda rows: _other(rows).order_by("pk"),
    "compared": lambda rows: rows if rows.model is Seat else _with_latest(rows),
    "a union": _union,
    "a difference": _difference,
}  # fmt: skip
OPS: dict[str, Callable[[Rows], Any]] = {
    "list": list,
    "count": lambda rows: rows.count(),
    "exists": lambda rows: rows.exists(),
    "first": lambda rows: rows.first(),
    "related": lambda rows: (
        [deep(getattr(row, ONE[rows.model])) for row in rows] if rows.model in ONE else []
    ),
    "aggregate": lambda rows: rows.aggregate(n=Count("*"), m=Max("pk")) if rows.model is not Seat else None,
    "sum": lambda rows: rows.aggregate(Sum("views")) if rows.model is Post else None,
}


class Question(NamedTuple):
    model: type[Model]
    parts: list[tuple[str, Any]]
    shape: str
    op: str

    def __call__(self) -> Any:
        rows = self.model._default_manager.order_by("pk")
        for method, condition in self.parts:
            rows = getattr(rows, method)(as_q(condition))
        shaped = SHAPES[self.shape](rows)
        return OPS[self.op if self.shape in PLAIN or self.op in ("count", "exists") else "list"](shaped)


class Nested(NamedTuple):
    """A question of which others are a part."""

    asked: Asked

    def __call__(self) -> Any:
        rows = built(self.asked)
        # What has no order is in any.
        return list(rows) if rows.query.order_by else sorted(rows, key=lambda row: repr(deep(row)))


def taken(asked: list[Any]) -> list[Any]:
    """Return the questions that the database takes; each has some that it does not."""
    found = []
    for question in asked:
        with suppress(DatabaseError), transaction.atomic():
            uncached(question)
            found.append(question)
    return found


PLAIN = {
    "plain",
    "reversed",
    "distinct",
    "page",
    "later page",
    "counted",
    "having",
    "joined",
    "joined outside",
    "counted outside",
    "of a subquery",
}


def as_q(condition: Any) -> Q:
    """Return a condition from how it is drawn and printed."""
    kind, *rest = condition
    if kind == "not":
        return ~as_q(rest[0])
    if kind in OPERATORS:
        return reduce(OPERATORS[kind], map(as_q, rest))
    return Q(**{kind: rest[0]})


OPERATORS = {"and": operator.and_, "or": operator.or_, "xor": operator.xor}


def conditions(model: type[Model]) -> st.SearchStrategy[Any]:
    leaves = st.sampled_from([(name, value) for name, values in LOOKUPS[model].items() for value in values])
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.tuples(st.just("not"), inner),
            st.tuples(st.sampled_from(["and", "or", "or", "xor"]), inner, inner),
        ),
        max_leaves=4,
    )


@st.composite
def questions(draw: st.DrawFn) -> Question:
    model = draw(st.sampled_from(list(LOOKUPS)))
    part = st.tuples(st.sampled_from(["filter", "filter", "filter", "exclude"]), conditions(model))
    return Question(
        model,
        draw(st.lists(part, min_size=0, max_size=2)),
        draw(st.one_of(st.just("plain"), st.sampled_from(list(SHAPES)))),
        draw(st.one_of(st.just("list"), st.sampled_from(list(OPS)))),
    )


# Writes


class Write(NamedTuple):
    model: type[Model]
    how: str
    key: int
    values: dict[str, Any]


class Change(NamedTuple):
    """A change of a relation from one side of it."""

    model: type[Model]
    key: int
    name: str
    related: type[Model]
    how: str
    keys: list[int]


class Block(NamedTuple):
    """A transaction, or a savepoint inside of one."""

    steps: list[Any]
    is_rolled_back: bool


def key_of(model: type[Model], number: int) -> Any:
    return UUIDS[number - 1] if model is Token else (number, 1) if model is Seat else number


def row_of(model: type[Model], number: Any) -> Model | None:
    """Return a row as the database has it, if it is there."""
    with scopes.deciding():
        return model._base_manager.filter(pk=key_of(model, number)).first()


def resolved(write: Write) -> dict[str, Any] | None:
    """Return the values to write, or None if a row that they refer to is not there."""
    values = {}
    for name, value in write.values.items():
        if isinstance(kind := FIELDS[write.model][name], Key):
            found = row_of(kind.model, value) if value is not None else None
            if found is None and not kind.is_nullable:
                return None
            values[name] = found
        else:
            values[name] = value
    if (name := UNIQUE.get(write.model)) in values:
        with scopes.deciding():
            if write.model._base_manager.filter(**{name: values[name]}).exclude(pk=write.key).exists():
                return None
    return values


def is_complete(write: Write, values: dict[str, Any]) -> bool:
    return values.keys() == FIELDS[write.model].keys()


def write_row(write: Write, loaded: dict[Any, Model]) -> None:
    """Write in one of the ways that the ORM has for it."""
    values, key = resolved(write), key_of(write.model, write.key)
    if values is None:
        return
    rows, there = write.model._base_manager, row_of(write.model, write.key)
    if there is None:
        # A parent may be there already, whose row becomes the child's.
        if is_complete(write, values) and write.how in CREATING:
            CREATING[write.how](rows, {"pk": key} | values)
        return
    if write.how == "stale save":
        # A copy from some time ago, with values that others may have changed since.
        there = loaded.get((write.model, write.key), there)
        if any(isinstance(kind, Key) for kind in FIELDS[write.model].values()):
            return
    loaded.setdefault((write.model, write.key), row_of(write.model, write.key))
    for name, value in values.items():
        setattr(there, name, value)
    names = [name for name in values if name != "author" or write.model is not Profile]
    CHANGING.get(write.how, CHANGING["save"])(rows, there, {name: values[name] for name in names})


def _insert_many(rows: Any, values: dict[str, Any]) -> None:
    if rows.model._meta.parents:
        rows.create(**values)
    else:
        rows.bulk_create([rows.model(**values)])


def _insert_or_change(rows: Any, row: Model, values: dict[str, Any]) -> None:
    if rows.model._meta.parents or rows.model in (StarredPlace, Seat) or not values:
        row.save()
    else:
        new = rows.model(pk=row.pk, **{name: getattr(row, name) for name in FIELDS[rows.model]})
        rows.bulk_create([new], update_conflicts=True, update_fields=list(values), **_target(rows))


def _target(rows: Any) -> dict[str, Any]:
    features = connection.features
    return {"unique_fields": ["pk"]} if features.supports_update_conflicts_with_target else {}


def _add_to(rows: Any, row: Model, values: dict[str, Any]) -> None:
    numbers = [name for name, pool in FIELDS[rows.model].items() if pool is NUMBERS]
    rows.filter(pk=row.pk).invalidated_update(**{name: F(name) + 1 for name in numbers[:1]} or values)


CREATING: dict[str, Callable[[Any, dict[str, Any]], Any]] = {
    "create": lambda rows, values: rows.create(**values),
    "save": lambda rows, values: rows.model(**values).save(),
    "forced save": lambda rows, values: rows.model(**values).save(force_insert=True),
    "bulk": _insert_many,
    "get_or_create": lambda rows, values: rows.get_or_create(pk=values.pop("pk"), defaults=values),
    "update_or_create": lambda rows, values: rows.update_or_create(pk=values.pop("pk"), defaults=values),
}
CHANGING: dict[str, Callable[[Any, Model, dict[str, Any]], Any]] = {
    "save": lambda rows, row, values: row.save(),
    "stale save": lambda rows, row, values: row.save(),
    "some fields": lambda rows, row, values: row.save(update_fields=[*values]),
    "bulk": lambda rows, row, values: rows.bulk_update([row], [*values]) if values else None,
    "conflict": _insert_or_change,
    "update": lambda rows, row, values: rows.filter(pk=row.pk).invalidated_update(**values) if values else 0,
    "update all": lambda rows, row, values: rows.all().invalidated_update(**_harmless(rows.model, values)),
    "add": _add_to,
    "update_or_create": lambda rows, row, values: rows.update_or_create(pk=row.pk, defaults=values),
    "delete": lambda rows, row, values: row.delete(),
    "delete rows": lambda rows, row, values: rows.filter(pk=row.pk).delete(),
    "delete by value": lambda rows, row, values: rows.filter(**values).delete() if values else None,
    "delete all": lambda rows, row, values: rows.all().delete(),
}


def _harmless(model: type[Model], values: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in values.items() if name != UNIQUE.get(model)}
    return kept or {next(iter(FIELDS[model])): F(next(iter(FIELDS[model])))}


@st.composite
def writes(draw: st.DrawFn) -> Write:
    model = draw(st.sampled_from(list(FIELDS)))
    how = draw(st.sampled_from(sorted({*CREATING, *CHANGING})))
    values = {}
    for name, pool in FIELDS[model].items():
        # A new row needs all of them; to a row that is there, it is a change of some.
        if draw(st.integers(0, 3)):
            values[name] = draw(st.sampled_from([*KEYS, None] if isinstance(pool, Key) else pool))
    return Write(model, how, draw(st.sampled_from(KEYS)), values)


@st.composite
def changes(draw: st.DrawFn) -> Change:
    model, name, related = draw(st.sampled_from(RELATIONS))
    how = draw(st.sampled_from(["add", "remove", "set", "clear", "create"]))
    keys = draw(st.lists(st.sampled_from(KEYS), max_size=2, unique=True))
    return Change(model, draw(st.sampled_from(KEYS)), name, related, how, keys)


def change_relation(change: Change) -> None:
    row = row_of(change.model, change.key)
    related = [found for key in change.keys if (found := row_of(change.related, key)) is not None]
    if row is None or change.model is change.related is Category:
        return
    manager = getattr(row, change.name)
    if change.how in ("add", "remove") and hasattr(manager, change.how):
        # Only what is related can be removed from the other end of a key.
        with suppress(ObjectDoesNotExist):
            getattr(manager, change.how)(*related)
    elif change.how == "set":
        manager.set(related)
    elif change.how == "clear" and hasattr(manager, "clear"):
        manager.clear()
    elif change.how == "create" and change.related is Tag:
        manager.create(name="a")


STEPS = st.recursive(
    st.one_of(writes(), writes(), changes()),
    lambda inner: st.builds(Block, st.lists(inner, min_size=1, max_size=4), st.booleans()),
    max_leaves=6,
)


# Programs


def fill_database() -> None:
    """Make some rows of each model, with the keys that queries ask for."""
    for model, fields in FIELDS.items():
        if not issubclass(model, Place) or model is Pizzeria:
            for number in KEYS[:2]:
                values = {
                    name: row_of(pool.model, number) if isinstance(pool, Key) else pool[number % len(pool)]
                    for name, pool in fields.items()
                }
                model._base_manager.create(pk=key_of(model, number), **values)
    Post.objects.get(pk=1).tags.set([1, 2])
    Author.objects.get(pk=1).follows.set([2])
    go_on_counting()


def run(step: Any, asked: list[Any], loaded: dict[Any, Model]) -> None:
    if isinstance(step, Block):
        with transaction.atomic():
            for inner in step.steps:
                run(inner, asked, loaded)
            transaction.set_rollback(step.is_rolled_back)
    elif isinstance(step, Write):
        write_row(step, loaded)
    else:
        change_relation(step)
    note(f"after {step}")
    check(asked)


def check(asked: list[Any]) -> None:
    for question in asked:
        assert deep(question()) == uncached(question), question


@contextmanager
def rolled_back() -> Iterator[None]:
    """Let an example do what it likes, as ``TestCase`` lets a test, and take it back."""
    block: Any = transaction.atomic()
    block._from_testcase = True
    with block:
        yield
        transaction.set_rollback(True)


def empty_cache() -> None:
    cache = caches.current()
    cache.invalidate_all()
    cache.registries.clear()
    ContentType.objects.clear_cache()


def random_programs(examples: int = EXAMPLES) -> Callable[[Any], Any]:
    """Return a decorator that runs a test with random questions and steps."""

    def decorate(test: Any) -> Any:
        limits = settings(
            max_examples=examples,
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )
        asked = st.one_of(questions(), st.builds(Nested, outermost()))
        given_programs = given(
            asked=st.lists(asked, min_size=1, max_size=4), steps=st.lists(STEPS, min_size=1, max_size=6)
        )
        return limits(given_programs(test))

    return decorate


@pytest.mark.django_db
@random_programs()
def test_answers_are_the_databases_in_a_test_case(asked: list[Any], steps: list[Any]) -> None:
    empty_cache()
    with rolled_back():
        fill_database()
        asked = taken(asked)
        check(asked)
        for step in steps:
            run(step, asked, {})
    check(asked)


def answer_as_the_database(asked: list[Any], steps: list[Any]) -> None:
    """Run a program of its own transactions on rows that are new each time."""
    for model in reversed(FIELDS):
        model._base_manager.all().delete()
    empty_cache()
    with transaction.atomic():
        fill_database()
    asked = taken(asked)
    check(asked)
    loaded: dict[Any, Model] = {}
    for step in steps:
        run(step, asked, loaded)


@pytest.mark.django_db(transaction=True)
@random_programs()
def test_answers_are_the_databases_with_real_commits(asked: list[Any], steps: list[Any]) -> None:
    answer_as_the_database(asked, steps)


@pytest.fixture
def _copies() -> Iterator[None]:
    profile = {"ops": "all", "timeout": 600, "near": True}
    with keeping_copies({"testapp.*": profile, "*.*": {"timeout": 600, "near": True}}):
        yield


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_copies")
@random_programs()
def test_answers_are_the_databases_with_copies_in_the_process(asked: list[Any], steps: list[Any]) -> None:
    answer_as_the_database(asked, steps)
