"""Querysets that build their query only when somebody looks: the same queries, keys and errors as Django's own."""

import contextlib
import copy
import datetime
import pickle
import threading
import zoneinfo
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from answers import is_cached, is_right, keep
from django.core.exceptions import FieldError
from django.db import connection
from django.db.models import Avg, Count, F, Max, Min, Prefetch, Q, QuerySet, Sum
from django.db.models.query import ModelIterable
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from testapp.models import (
    Author,
    Category,
    Club,
    Color,
    Everything,
    LegacyNote,
    Pizzeria,
    Place,
    Post,
    Size,
    StarredPlace,
    Tag,
    TokenUse,
)

from cacheops_core.conditions import Dependencies
from cacheops_django import chain_keys, chains, conf, installation, plans, reads, scopes
from cacheops_django.chains import chain_of
from cacheops_django.fingerprint_query import encode_query
from cacheops_django.reasons import Uncacheable

pytestmark = pytest.mark.django_db

Make = Callable[[Any], QuerySet[Any, Any]]

DEPTH = 6
"""How often a queryset is asked for until all of its steps are remembered, and its key."""


@pytest.fixture(autouse=True)
def _nothing_known() -> None:
    plans.forget()


def remembered(make: Make, value: Any, op: str = "fetch") -> QuerySet[Any, Any]:
    """Return a queryset that has been asked for often enough."""
    for _ in range(DEPTH):
        reads.ask(make(value), op)
    return make(value)


def slowly(queryset: Any, op: str = "fetch") -> tuple[bytes, Dependencies]:
    """Return the key of a question, and what its answer depends on, as they are worked out from the query."""
    key, plan = plans._plan(queryset, queryset.query, "default", op, op)
    return key, plan.found


def quickly(queryset: Any, op: str = "fetch") -> tuple[bytes, Dependencies] | None:
    chain = chain_of(queryset)
    known = None if chain is None else chain_keys.known(chain, op, "default")
    return None if known is None else (known[0], known[1].found)


CHAINS: dict[str, tuple[Make, Any, Any]] = {
    "a primary key": (lambda v: Post.objects.filter(pk=v), 1, 2**40),
    "a foreign key": (lambda v: Post.objects.filter(category=v), 1, 2),
    "a foreign key's column": (lambda v: Post.objects.filter(category_id=v), 1, 2),
    "an object": (lambda v: Post.objects.filter(category=Category(pk=v)), 1, 2),
    "a text": (lambda v: Post.objects.filter(title=v), "a", "%s 'b'"),
    "a part of a text": (lambda v: Post.objects.filter(title__icontains=v, category=3), "a", "%"),
    "a UUID": (lambda v: TokenUse.objects.filter(token=v), UUID(int=1), UUID(int=2)),
    "a range": (lambda v: Post.objects.filter(views__gt=v, category=v + 1), 1, 2),
    "a negation": (lambda v: Post.objects.exclude(category=v), 1, 2),
    "a flag beside": (lambda v: Post.objects.filter(visible=True, category=v), 1, 2),
    "a member of an enumeration beside": (
        lambda v: Everything.objects.filter(color=Color.RED, small=Size.SMALL, big=v), 5, 6
    ),
    "nothing beside": (lambda v: Post.objects.filter(editor=None, category=v), 1, 2),
    "a join": (lambda v: Post.objects.filter(category__title=v, editor=1), "a", "b"),
    "a relation to many": (lambda v: Post.objects.filter(tags=v, tags__name="a"), 1, 2),
    "two filters": (lambda v: Post.objects.filter(category=v).filter(title="a"), 1, 2),
    "a row of its parents' too": (lambda v: Pizzeria.objects.filter(stars=v), 1, 2),
    "a manager's own filter": (lambda v: StarredPlace.objects.filter(name=v), "a", "b"),
    "an order": (lambda v: Post.objects.filter(views=v).order_by("category__title", "-pk").reverse(), 1, 2),
    "a slice": (lambda v: Post.objects.filter(views=v).order_by("pk")[2:9], 1, 2),
    "values of some columns": (lambda v: Post.objects.filter(views=v).values_list("title"), 1, 2),
    "one column": (lambda v: Post.objects.filter(views=v).values_list("title", flat=True).distinct(), 1, 2),
    "dictionaries": (lambda v: Post.objects.filter(views=v).values("title", "category__title"), 1, 2),
    "a row to be joined": (lambda v: Post.objects.filter(category=v).select_related("editor"), 1, 2),
    "columns to be left out": (lambda v: Post.objects.filter(category=v).defer("text"), 1, 2),
    "columns alone": (lambda v: Post.objects.only("title").filter(category=v), 1, 2),
    "a reverse relation": (lambda v: Category(pk=v).posts.filter(title="a"), 1, 2),
    "a relation among many": (lambda v: Tag(pk=v).posts.all(), 1, 2),
    "a copy": (lambda v: Post.objects.filter(category=v).all().using("default"), 1, 2),
    "what is cached by hand": (lambda v: Post.objects.filter(category=v).cache().order_by("pk"), 1, 2),
    "nothing asked but for an order": (lambda v: Post.objects.order_by("pk"), 1, 1),
}  # fmt: skip


@pytest.mark.parametrize("op", ["fetch", "count", "exists"])
@pytest.mark.parametrize("make,first,second", CHAINS.values(), ids=CHAINS)
def test_the_key_is_the_slow_one(make: Make, first: Any, second: Any, op: str) -> None:
    remembered(make, first, op)
    queryset = make(second)
    known = quickly(queryset, op)
    assert chain_of(queryset) is not None, "it was built to be asked"
    assert known == slowly(queryset, op)


@pytest.mark.parametrize("make,first,second", CHAINS.values(), ids=CHAINS)
def test_what_a_sample_depends_on_is_the_slow_answer(make: Make, first: Any, second: Any) -> None:
    for _ in range(DEPTH):
        plans.depends(make(first))
    chain = chain_of(make(second))
    assert chain is not None
    assert chain_keys.known(chain, "sample", "default") == plans._depends(make(second), "default")


@pytest.mark.parametrize("make,first,second", CHAINS.values(), ids=CHAINS)
def test_whoever_looks_at_the_query_finds_djangos(make: Make, first: Any, second: Any) -> None:
    reference = encode_query(make(second).query)
    remembered(make, first)
    queryset = make(second)
    assert encode_query(queryset.query) == reference
    assert chain_of(queryset) is None


LEFT_TO_DJANGO: dict[str, tuple[Make, Any]] = {
    "a number as text": (lambda v: Post.objects.filter(category=v), "1"),
    "a flag for a number": (lambda v: Post.objects.filter(Q(category=v)), True),
    "a list": (lambda v: Post.objects.filter(editor__in=v), [1]),
    "an expression": (lambda v: Place.objects.filter(stars=v), F("id")),
    "a price of a whole number": (lambda v: Everything.objects.filter(price=v), 1),
    "a column that converts": (lambda v: Everything.objects.filter(tenfold=v), 1),
    "a key to another column than the primary one": (lambda v: LegacyNote.objects.filter(club=v), Club(pk=1, name="a")),
    "an object of a child": (lambda v: Post.objects.filter(category=v), Category),
    "one column twice": (lambda v: Post.objects.filter(category=v).filter(category_id=v + 1), 1),
    "rows that are to be locked": (lambda v: Post.objects.select_for_update().filter(category=v), 1),
    "what is added up": (lambda v: Post.objects.annotate(n=F("views")).filter(n=v), 1),
    "a subquery": (lambda v: Post.objects.exclude(tags__name=v), "a"),
}  # fmt: skip


@pytest.mark.parametrize("make,value", LEFT_TO_DJANGO.values(), ids=LEFT_TO_DJANGO)
def test_what_is_more_than_a_comparison_is_left_to_django(make: Make, value: Any) -> None:
    if isinstance(value, type):

        class Child(Category):
            class Meta:
                app_label = "testapp"
                proxy = True

        value = Child(pk=1)
    try:
        assert chain_of(remembered(make, value)) is None
    except (ValueError, TypeError) as error:
        with pytest.raises(type(error)):
            make(value)


WRONG: dict[str, Callable[[], Any]] = {
    "a field that is not there": lambda: Post.objects.filter(titel="a"),
    "an order that is not there": lambda: Post.objects.filter(category=1).order_by("titel"),
    "a column that is not there": lambda: Post.objects.values_list("titel"),
    "a filter of a slice": lambda: Post.objects.filter(category=1)[:3].filter(title="a"),
    "an order of a slice": lambda: Post.objects.filter(category=1)[:3].order_by("title"),
    "a negative index": lambda: Post.objects.filter(category=1)[-1],
    "a text for a number": lambda: Post.objects.filter(category="x"),
    "an object of another model": lambda: Post.objects.filter(category=Tag(pk=1)),
    "an object that has not been saved": lambda: Post.objects.filter(category=Category()),
}


@pytest.mark.parametrize("ask", WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_told_at_once_each_time(ask: Callable[[], Any]) -> None:
    for _ in range(DEPTH):
        with pytest.raises((FieldError, ValueError, TypeError)):
            ask()


AGGREGATES: dict[str, Callable[[Any], Any]] = {
    "a sum": lambda rows: rows.aggregate(Sum("views")),
    "several": lambda rows: rows.aggregate(Avg("rating"), most=Max("views"), least=Min("views")),
    "of another table": lambda rows: rows.aggregate(n=Count("tags")),
    "an order of names": lambda rows: rows.aggregate(a=Max("views"), b=Min("views")),
    "another order": lambda rows: rows.aggregate(b=Min("views"), a=Max("views")),
    "other names": lambda rows: rows.aggregate(a=Min("views"), b=Max("views")),
}


@pytest.mark.usefixtures("_rows")
@pytest.mark.parametrize("ask", AGGREGATES.values(), ids=AGGREGATES)
def test_plain_aggregates_are_known_without_a_query(ask: Callable[[Any], Any]) -> None:
    for _ in range(DEPTH):
        for each in AGGREGATES.values():
            assert is_right(lambda each=each: each(Post.objects.filter(category=1)))
    queryset = Post.objects.filter(category=1)
    assert is_cached(lambda: ask(queryset))
    assert chain_of(queryset) is not None


@pytest.mark.usefixtures("_rows")
def test_what_is_more_than_a_plain_aggregate_is_looked_at_each_time() -> None:
    for _ in range(DEPTH):
        for what in (
            Count("tags", distinct=True),
            Count("tags"),
            Sum(F("views") + 1),
            Sum("views", default=3),
        ):
            assert is_right(lambda what=what: Post.objects.filter(category=1).aggregate(n=what))


def test_the_last_of_a_series_of_equal_questions_builds_nothing() -> None:
    def ask() -> Any:
        return list(Post.objects.filter(category=1).order_by("pk")[:3])

    for _ in range(DEPTH):
        ask()
    queryset = Post.objects.filter(category=1).order_by("pk")[:3]
    assert is_cached(lambda: list(queryset))
    assert chain_of(queryset) is not None


# Answers


@pytest.fixture
def _rows() -> None:
    categories = [Category.objects.create(pk=number, title=f"c{number}") for number in (1, 2)]
    author = Author.objects.create(pk=1, name="a")
    for number in range(1, 9):
        post = Post.objects.create(
            pk=number, title=f"t{number % 3}", views=number, category=categories[number % 2], editor=author
        )
        post.tags.add(Tag.objects.get_or_create(name=f"g{number % 4}")[0])


ASKS: dict[str, Callable[[int], Any]] = {
    "rows": lambda v: list(Post.objects.filter(category=v).order_by("pk")),
    "rows of a foreign object": lambda v: list(Post.objects.filter(category=Category(pk=v)).order_by("-pk")),
    "a count": lambda v: Post.objects.filter(category=v).count(),
    "whether there are any": lambda v: Post.objects.filter(category=v, title="t1").exists(),
    "the first": lambda v: Post.objects.filter(category=v).first(),
    "the first of an order": lambda v: Post.objects.filter(category=v).order_by("-views").first(),
    "the last": lambda v: Post.objects.filter(category=v).order_by("views").last(),
    "one by its place": lambda v: Post.objects.filter(category=v).order_by("pk")[1],
    "a slice of a slice": lambda v: list(Post.objects.filter(category=v).order_by("pk")[1:][:2]),
    "a slice in steps": lambda v: list(Post.objects.filter(category=v).order_by("pk")[0:4:2]),
    "the one": lambda v: Post.objects.filter(category=v).get(pk=v + 1),
    "dictionaries": lambda v: list(Post.objects.filter(category=v).order_by("pk").values("pk", "title")),
    "tuples": lambda v: list(Post.objects.filter(category=v).order_by("pk").values_list("pk", "title")),
    "named tuples": lambda v: [
        row._asdict() for row in Post.objects.filter(category=v).order_by("pk").values_list("pk", named=True)
    ],
    "what belongs to rows": lambda v: [
        (post, list(post.tags.all()))
        for post in Post.objects.filter(category=v).order_by("pk").prefetch_related("tags", "editor")
    ],
    "rows by their keys": lambda v: Post.objects.filter(category=v).in_bulk([1, 2, 3]),
    "a related manager": lambda v: list(Category.objects.get(pk=v).posts.filter(title="t1").order_by("pk")),
    "a related count": lambda v: Category.objects.get(pk=v).posts.count(),
    "a union": lambda v: sorted(
        Post.objects.filter(category=v).values_list("pk", flat=True).union(
            Post.objects.filter(title="t1").values_list("pk", flat=True)
        )
    ),
    "both": lambda v: sorted(
        (Post.objects.filter(category=v) & Post.objects.filter(title="t1")).values_list("pk", flat=True)
    ),
    "a subquery": lambda v: sorted(
        Tag.objects.filter(posts__in=Post.objects.filter(category=v)).values_list("name", flat=True).distinct()
    ),
    "a complex filter": lambda v: list(Post.objects.filter(category=v).complex_filter(Q(title="t1")).order_by("pk")),
    "no more conditions": lambda v: list(Post.objects.filter(category=v).filter().order_by("pk")),
}  # fmt: skip


@pytest.mark.usefixtures("_rows")
@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)
def test_answers_are_the_databases_whoever_else_has_been_asked_for(ask: Callable[[int], Any]) -> None:
    for _ in range(DEPTH):
        for value in (1, 2, 3):
            if value < 3 or ask is not ASKS["one by its place"]:
                assert is_right(lambda value=value: ask(value) if value < 3 else None)


LOCAL: dict[str, Callable[[], Any]] = {
    "values": lambda: list(Post.objects.order_by("pk").values_list("created__hour")),
    "dictionaries": lambda: list(Post.objects.filter(visible=True).order_by("pk").values("created__date")),
    "an order": lambda: list(Post.objects.order_by("created__hour", "pk").values_list("pk")),
    "whether there is one": lambda: list(Post.objects.filter(created__hour__isnull=False, category=1)),
    "a comparison": lambda: list(Post.objects.filter(created__hour=3, category=1)),
    "an aggregate": lambda: Post.objects.filter(category=1).aggregate(Max("created__hour")),
}


@pytest.mark.parametrize("ask", LOCAL.values(), ids=LOCAL)
def test_an_answer_of_another_time_zone_is_another(ask: Callable[[], Any]) -> None:
    category = Category.objects.create(pk=1, title="c")
    for hour in (0, 5, 22):
        Post.objects.create(
            category=category, created=datetime.datetime(2026, 1, 1, hour, tzinfo=datetime.UTC)
        )
    for _ in range(DEPTH):
        for name in ("Asia/Tokyo", "America/New_York", "UTC"):
            with timezone.override(zoneinfo.ZoneInfo(name)):
                assert is_right(ask), name


@pytest.mark.usefixtures("_rows")
def test_a_write_drops_what_was_stored_under_a_key_that_was_put_together() -> None:
    def ask() -> Any:
        return list(Post.objects.filter(category=2, title="t1").order_by("pk"))

    remembered(lambda v: Post.objects.filter(category=v, title="t0").order_by("pk"), 1)
    keep(ask)
    Post.objects.create(pk=20, title="t1", category_id=1)
    assert is_cached(ask)
    Post.objects.filter(pk=20).get().delete()
    Post.objects.create(pk=21, title="t1", category_id=2)
    assert not is_cached(ask)
    assert [post.pk for post in ask()][-1] == 21


@pytest.mark.usefixtures("_rows")
def test_objects_of_a_related_manager_know_the_one_that_they_were_reached_from() -> None:
    for _ in range(DEPTH):
        category = Category.objects.get(pk=1)
        assert all(post.category is category for post in category.posts.filter(title="t1"))


@pytest.mark.usefixtures("_rows")
def test_a_write_in_the_open_transaction_is_seen() -> None:
    from django.db import transaction

    queryset = remembered(lambda v: Post.objects.filter(category=v), 1, "count")
    before = queryset.count()
    with transaction.atomic():
        Post.objects.create(pk=30, title="x", category_id=1)
        assert Post.objects.filter(category=1).count() == before + 1


def test_a_number_that_no_column_can_have_is_left_to_the_slow_way() -> None:
    remembered(lambda v: Everything.objects.filter(small=v), 5)
    _, most = connection.ops.integer_field_range("PositiveSmallIntegerField")
    assert quickly(Everything.objects.filter(small=7)) is not None
    assert quickly(Everything.objects.filter(small=(most or 2**63 - 1) + 1)) is None


def test_a_write_is_not_decided_on_what_the_cache_says() -> None:
    queryset = remembered(lambda v: Post.objects.filter(category=v), 1)
    with scopes.deciding():
        assert reads.ask(queryset, "fetch") is None


# What a queryset is besides its query


def lazy() -> QuerySet[Post, Any]:
    queryset = remembered(lambda v: Post.objects.filter(category=v).order_by("pk"), 1)
    assert chain_of(queryset) is not None
    return queryset


def test_a_query_that_was_changed_in_place_counts_as_it_is() -> None:
    queryset = lazy()
    queryset.query.set_limits(0, 1)
    assert slowly(queryset) != quickly(lazy())
    assert quickly(queryset) is None
    assert queryset.all().query.is_sliced


def test_a_query_that_was_put_in_its_place_counts_instead() -> None:
    queryset = lazy()
    queryset.query = Post.objects.filter(title="a").query
    assert "title" in str(queryset.order_by("pk").query)
    assert quickly(queryset) is None


def test_a_way_to_iterate_that_somebody_has_set_counts() -> None:
    class Loud(ModelIterable):
        pass

    queryset = lazy()
    queryset._iterable_class = Loud
    assert quickly(queryset) is None
    assert queryset.order_by("title")._iterable_class is Loud
    assert queryset.all()._iterable_class is Loud


def test_an_attribute_that_somebody_has_set_makes_a_queryset_theirs() -> None:
    queryset = lazy()
    queryset.tenant = "a"
    assert chain_of(queryset) is None
    assert not hasattr(queryset.order_by("title"), "tenant")


@pytest.mark.usefixtures("_rows")
@pytest.mark.parametrize(
    "copied",
    [lambda q: pickle.loads(pickle.dumps(q)), copy.deepcopy, copy.copy, lambda q: q.all()],
    ids=["pickled", "deeply copied", "copied", "asked for all"],
)
def test_a_copy_is_asked_the_same(copied: Callable[[Any], Any]) -> None:
    queryset = lazy()
    assert [post.pk for post in copied(queryset)] == [2, 4, 6, 8]
    assert str(copied(queryset).filter(title="t1").query) == str(queryset.filter(title="t1").query)


def test_a_pickle_of_a_query_is_djangos() -> None:
    assert encode_query(pickle.loads(pickle.dumps(lazy().query))) == encode_query(lazy().query)


def test_prefetching_with_a_queryset_can_be_pickled() -> None:
    queryset = Category.objects.prefetch_related(Prefetch("posts", lazy()))
    assert pickle.loads(pickle.dumps(queryset))._prefetch_related_lookups[0].prefetch_to == "posts"


def test_two_threads_that_build_one_queryset_get_one_query(monkeypatch: pytest.MonkeyPatch) -> None:
    queryset, both, found = lazy(), threading.Barrier(2, timeout=10), []
    taken = chains._taken

    def slowly_taken(made: Any, step: Any, values: Any) -> Any:
        if step.name == "filter":
            both.wait()
        return taken(made, step, values)

    monkeypatch.setattr(chains, "_taken", slowly_taken)
    threads = [threading.Thread(target=lambda: found.append(queryset.query)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[0] is found[1] is queryset.query
    assert len(found[0].where.children) == 1


def test_a_queryset_outlives_what_was_known_when_it_was_made() -> None:
    queryset = lazy()
    plans.forget()
    assert quickly(queryset) is None
    assert "ORDER BY" in str(queryset.all().query)
    assert chain_of(queryset.order_by("title")) is None


def test_a_queryset_outlives_the_cache() -> None:
    queryset = lazy()
    installation.uninstall()
    try:
        assert str(queryset.query) == str(Post.objects.filter(category=1).order_by("pk").query)
        assert "_query" not in vars(QuerySet)
    finally:
        installation.install()


class Bounded(QuerySet[Place, Place]):
    """With a say in what a filter means."""

    def filter(self, *args: Any, **kwargs: Any) -> Any:
        return super().filter(*args, **kwargs, stars__gt=0)


def test_a_class_that_has_a_say_is_left_to_itself() -> None:
    assert chain_of(remembered(lambda v: Bounded(Place).filter(name=v), "a")) is None


def test_a_model_without_a_profile_is_left_to_django(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conf.Settings, "profile_for", lambda self, model: None)
    for _ in range(DEPTH):
        queryset = Post.objects.filter(category=1)
    assert chain_of(queryset) is None


def test_steps_are_not_remembered_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chains, "MOST_NODES", 10)
    for number in range(40):
        assert Post.objects.filter(category=1)[number : number + 1].query.low_mark == number
    assert chains._nodes <= 10


def test_values_are_not_remembered_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_keys, "MOST_VALUES", 10)
    remembered(lambda v: Post.objects.filter(category=v), 1)
    for number in range(40):
        queryset = Post.objects.filter(category=number)
        assert quickly(queryset) == slowly(queryset)
    (template,) = chain_of(Post.objects.filter(category=1)).node.answers.values()  # type: ignore[union-attr]
    assert len(template.known) <= 10


# Any chain

NUMBERS = st.integers(-(2**40), 2**40) | st.integers(0, 3)
TEXTS = st.text(max_size=5) | st.sampled_from(["t1", ""])
CONDITIONS: dict[str, Any] = {
    "category": NUMBERS | st.builds(lambda pk: Category(pk=pk), st.integers(1, 3)),
    "category_id": NUMBERS,
    "pk": NUMBERS,
    "views": NUMBERS,
    "views__gte": NUMBERS,
    "title": TEXTS,
    "title__startswith": TEXTS,
    "visible": st.booleans(),
    "editor": st.none() | NUMBERS,
    "editor__name": TEXTS,
    "tags": NUMBERS,
    "tags__name": TEXTS,
    "category__parent__title": TEXTS,
    "category__parent": NUMBERS,
}
FIELDS = st.sampled_from(["title", "-views", "pk", "category", "editor__name", "-category__title"])
COLUMNS = st.sampled_from(["title", "views", "pk", "category__title", "editor__name"])


@st.composite
def conditions(draw: Any) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from(sorted(CONDITIONS)), min_size=1, max_size=3, unique=True))
    return {name: draw(CONDITIONS[name]) for name in names}


def bounded(first: int, rows: int) -> tuple[slice]:
    return (slice(first, first + rows),)


STEPS = st.one_of(
    st.tuples(st.sampled_from(["filter", "exclude"]), st.just(()), conditions()),
    st.tuples(st.just("order_by"), st.lists(FIELDS, max_size=2).map(tuple), st.just({})),
    st.tuples(st.just("__getitem__"), st.builds(bounded, st.integers(0, 3), st.integers(0, 5)), st.just({})),
    st.tuples(st.just("values_list"), st.lists(COLUMNS, max_size=2, unique=True).map(tuple), st.just({})),
    st.tuples(st.just("values"), st.lists(COLUMNS, max_size=2, unique=True).map(tuple), st.just({})),
    st.tuples(st.sampled_from(["distinct", "reverse", "all"]), st.just(()), st.just({})),
    st.tuples(st.just("select_related"), st.just(("category",)), st.just({})),
    st.tuples(st.just("defer"), st.just(("text",)), st.just({})),
    st.tuples(st.just("only"), st.just(("title",)), st.just({})),
)  # fmt: skip


def asked(queryset: Any, steps: Any, originals: Any = None) -> Any:
    """Return what comes of these steps, or the type of the error that does, taken by Django alone if it is given."""
    for name, args, kwargs in steps:
        method = originals.get(name) if originals else None
        try:
            queryset = (
                getattr(queryset, name)(*args, **kwargs)
                if method is None
                else method(queryset, *args, **kwargs)
            )
        except (TypeError, ValueError, FieldError, NotImplementedError) as error:
            return type(error)
    return queryset


def varied(draw: Any, steps: Any) -> Iterator[Any]:
    """Yield the same steps with other values."""
    for name, args, kwargs in steps:
        yield name, args, {key: draw(CONDITIONS[key]) for key in kwargs}


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_any_chain_is_the_query_and_the_key_that_django_and_the_slow_way_make_of_it(data: Any) -> None:
    steps = data.draw(st.lists(STEPS, min_size=1, max_size=4))
    for _ in range(DEPTH):
        variant = list(varied(data.draw, steps))
        reference = asked(Post.objects.get_queryset(), variant, chains._ORIGINALS)
        found = asked(Post.objects.get_queryset(), variant)
        if isinstance(reference, type):
            assert found is reference
            return
        try:
            slow: Any = slowly(reference)
        except (Uncacheable, FieldError) as refused:
            slow = str(refused)
        quick = quickly(found)
        assert quick in (None, slow) or isinstance(slow, str)
        with contextlib.suppress(Uncacheable, FieldError):
            plans.plan_for(found, "default", "fetch")
        assert encode_query(found.query) == encode_query(reference.query)
        assert (found._fields, found._iterable_class) == (reference._fields, reference._iterable_class)
        assert found.ordered == reference.ordered
