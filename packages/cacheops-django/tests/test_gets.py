"""Objects got by one field without building a query: the same as with one, and found by either."""

import asyncio
from collections.abc import Callable
from itertools import groupby
from typing import Any
from unittest import mock
from uuid import UUID

import django
import pytest
from answers import Ask, answer, is_cached, is_right, keep, queries
from asgiref.sync import async_to_sync
from django.db import connection, models, transaction
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.test import override_settings
from numbering import go_on_counting
from testapp.models import (
    Author,
    Category,
    City,
    Club,
    Everything,
    Initialized,
    Legacy,
    LegacyNote,
    Pizzeria,
    Post,
    Profile,
    Seat,
    StarredPlace,
    Tag,
    Token,
    TokenUse,
)

from cacheops_core.testing import count_round_trips
from cacheops_django import caches, counters, plans, reasons, scopes
from cacheops_django.signals import cache_read

pytestmark = pytest.mark.django_db

KEY = UUID(int=7)


@pytest.fixture(autouse=True)
@transaction.atomic  # or each row would be a transaction, with fences of its own
def _rows() -> None:
    category = Category.objects.create(pk=1, title="c")
    author, club = Author.objects.create(pk=1, name="a"), Club.objects.create(pk=1, name="b")
    Profile.objects.create(pk=1, author=author, motto="m")
    Post.objects.create(pk=1, title="p", category=category)
    for number in (1, 2):
        Tag.objects.create(pk=number, name=f"t{number}")
    Tag.objects.create(pk=3, name="t2")
    Pizzeria.objects.create(pk=1, name="n", stars=1, city=City.rows.create(pk=1, name="c"))
    TokenUse.objects.create(pk=1, token=Token.objects.create(pk=KEY))
    Seat.objects.create(hall=1, number=2)
    Everything.objects.create(pk=1, slug="s", small=3)
    LegacyNote.objects.create(pk=1, club=club, legacy=Legacy.objects.create(pk="l"))
    go_on_counting()


def of(model: type[models.Model], name: str) -> Ask:
    """Ask for what a row refers to, of a row that was just read."""
    return lambda: getattr(model._base_manager.nocache().get(), name)


@pytest.fixture
def no_query(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let building a query fail from now on."""

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("a query was built")

    return lambda: monkeypatch.setattr(QuerySet, "_filter_or_exclude", fail)


SHORT: dict[str, Ask] = {
    "pk": lambda: Tag.objects.get(pk=1),
    "id": lambda: Tag.objects.get(id=1),
    "a text": lambda: Tag.objects.get(name="t1"),
    "a slug": lambda: Everything.objects.get(slug="s"),
    "a small integer": lambda: Everything.objects.get(small=3),
    "a UUID": lambda: Token.objects.get(pk=KEY),
    "a key": lambda: Post.objects.get(category=1),
    "a key's column": lambda: Post.objects.get(category_id=1),
    "a key to a name": lambda: LegacyNote.objects.get(club="b"),
    "a queryset": lambda: Tag.objects.all().get(pk=1),
    "a copied queryset": lambda: Tag.objects.all().all().get(pk=1),
    "a view's way": lambda: get_object_or_404(Tag, pk=1),
    "a manager of another name": lambda: City.rows.get(pk=1),
    "a manager for a database": lambda: Tag.objects.using("default").get(pk=1),
    "a child": lambda: Pizzeria.objects.get(pk=1),
    "an object with an __init__": lambda: Initialized.objects.get(pk=1),
}


@pytest.mark.parametrize("ask", SHORT.values(), ids=SHORT)
def test_a_get_by_one_field_builds_no_query(ask: Ask, no_query: Any) -> None:
    expected = answer(ask)
    assert is_right(ask)
    no_query()
    assert answer(ask) == expected
    assert is_cached(ask)


@pytest.mark.parametrize("ask", SHORT.values(), ids=SHORT)
def test_what_the_cache_does_not_have_is_got_without_building_a_query(ask: Ask, no_query: Any) -> None:
    expected = answer(ask)
    caches.current().driver.client.flushall()
    no_query()
    assert queries(ask) == 1
    assert answer(ask) == expected
    assert is_cached(ask)


REFERENCES: dict[str, tuple[type[models.Model], str]] = {
    "a key": (Post, "category"),
    "one to one": (Profile, "author"),
    "a key to a UUID": (TokenUse, "token"),
    "a key to a name": (LegacyNote, "club"),
    "a key to another column": (LegacyNote, "legacy"),
    "a key of a parent": (Pizzeria, "city"),
}


@pytest.mark.parametrize("model, name", REFERENCES.values(), ids=REFERENCES)
def test_what_a_key_refers_to_is_got_without_building_a_query(model: Any, name: str, no_query: Any) -> None:
    rows = list(model._base_manager.nocache())
    ask = of(model, name)
    answer(ask)
    assert is_right(ask)
    no_query()
    assert queries(lambda: getattr(rows[0], name)) == 0
    assert getattr(rows[0], name) is getattr(rows[0], name)


def test_an_object_that_was_got_by_a_key_of_its_own_knows_whose_it_is() -> None:
    keep(lambda: Author.objects.get(id=1))
    profile = Profile.objects.nocache().get()
    assert queries(lambda: profile.author.profile) == 0
    assert profile.author.profile is profile


LONG: dict[str, Ask] = {
    "a text for a number": lambda: Tag.objects.get(pk="1"),
    "True for 1": lambda: Tag.objects.get(pk=True),
    "a text for a UUID": lambda: Token.objects.get(pk=str(KEY)),
    "an object": lambda: Post.objects.get(category=Category(pk=1)),
    "a lookup": lambda: Tag.objects.get(pk__exact=1),
    "two fields": lambda: Tag.objects.get(pk=1, name="t1"),
    "a condition before": lambda: Tag.objects.filter(name="t1").get(pk=1),
    "an order before": lambda: Tag.objects.order_by("name").get(pk=1),
    "a relation before": lambda: Post.objects.select_related("category").get(pk=1),
    "a prefetch before": lambda: Post.objects.prefetch_related("tags").get(pk=1),
    "deferred columns": lambda: Tag.objects.only("name").get(pk=1),
    "values": lambda: Tag.objects.values("name").get(pk=1),
    "a related manager": lambda: Category(pk=1).posts.get(pk=1),
    "a manager of the project": lambda: StarredPlace.objects.get(pk=1),
    "a composite key": lambda: Seat.objects.get(pk=(1, 2)),
    "a column that converts": lambda: Everything.objects.get(words=None),
    "a null": lambda: Category.objects.get(parent=None),
}


@pytest.mark.parametrize("ask", LONG.values(), ids=LONG)
def test_all_other_gets_are_answered_as_ever(ask: Ask) -> None:
    keep(ask)
    assert is_right(ask)


def test_a_get_finds_what_a_query_has_stored_and_the_other_way_round() -> None:
    keep(lambda: Tag.objects.filter(pk=1).get())
    assert is_cached(lambda: Tag.objects.get(pk=1))
    keep(lambda: Tag.objects.get(pk=2))
    assert is_cached(lambda: Tag.objects.filter(pk=2).get())
    assert is_cached(lambda: Tag.objects.filter(models.Q(pk=2)).get())


def test_numbers_of_all_sizes_are_told_apart() -> None:
    # MySQL numbers the next row after the greatest that there ever was, so that there has to be a next.
    big = [2**31 - 1, 2**31, 2**63 - (100_000 if connection.vendor == "mysql" else 1)]
    for number in big:
        Everything.objects.create(pk=number)
    for number in big:
        keep(lambda number=number: Everything.objects.get(pk=number))
    assert [Everything.objects.get(pk=number).pk for number in big] == big


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 2**100], ids=str)
def test_a_number_that_no_column_holds_is_nowhere(number: int) -> None:
    with pytest.raises(Tag.DoesNotExist):
        Tag.objects.get(pk=number)


@pytest.mark.parametrize("name", ["", "\N{SNOWMAN}", "t1 ", "'; --", "{t1}", "x" * 300], ids=repr)
def test_texts_of_all_kinds_are_told_apart(name: str) -> None:
    Club.objects.create(name=name[:50])
    keep(lambda: Club.objects.get(name=name[:50]))
    assert Club.objects.get(name=name[:50]).name == name[:50]
    assert is_right(lambda: Club.objects.get(name=name))


def message(ask: Ask) -> tuple[type[Exception], str]:
    with pytest.raises((Tag.DoesNotExist, Tag.MultipleObjectsReturned)) as raised:
        ask()
    return raised.type, str(raised.value)


@pytest.mark.parametrize("name", ["none", "t2"])
def test_errors_are_djangos_each_time_and_without_asking_the_database(name: str) -> None:
    def get() -> Tag:
        return Tag.objects.get(name=name)

    with scopes.deciding():
        expected = message(get)
    assert [message(get), message(get)] == [expected, expected]
    assert is_cached(get)


def test_a_reference_to_nothing_is_an_error() -> None:
    post = Post(category_id=99)
    for _ in range(2):
        post._state.fields_cache.clear()
        with pytest.raises(Category.DoesNotExist):
            _ = post.category


def trips(ask: Ask) -> list[tuple[str, ...]]:
    client = caches.current().driver.client
    with count_round_trips(client) as counted:
        answer(ask)
    # The nodes of a cluster are asked side by side, each for its keys.
    return [key for key, _ in groupby(counted.sent)] if hasattr(client, "get_nodes") else counted.sent


@pytest.mark.parametrize(
    "ask",
    [lambda: Tag.objects.get(pk=1), lambda: Tag.objects.get(pk=99), of(Post, "category")],
    ids=["an object", "no object", "a reference"],
)
def test_a_get_asks_the_cache_once(ask: Ask) -> None:
    answer(ask)
    caches.current().driver.client.flushall()
    assert [names[0] for names in trips(ask)] == ["MGET", "EVALSHA", "SET"]
    assert [names[0] for names in trips(ask)] == ["MGET"]


def test_a_write_is_seen() -> None:
    def name() -> str:
        return Tag.objects.get(pk=1).name

    keep(name)
    Tag.objects.filter(pk=1).invalidated_update(name="new")
    assert name() == "new"
    Tag(pk=1, name="newer").save()
    assert name() == "newer"
    Tag(pk=1).delete()
    assert not Tag.objects.filter(pk=1).exists()
    with pytest.raises(Tag.DoesNotExist):
        name()


@pytest.mark.django_db(transaction=True)
def test_an_open_transaction_sees_what_it_has_written() -> None:
    post = Post.objects.nocache().get()
    keep(lambda: Category.objects.get(id=1).title)
    with transaction.atomic():
        Category(pk=1, title="mine").save()
        assert Category.objects.get(id=1).title == "mine"
        assert post.category.title == "mine"
        transaction.set_rollback(True)
    assert Category.objects.get(id=1).title == "c"


@pytest.mark.django_db(transaction=True)
def test_a_get_that_is_first_asked_in_a_transaction_that_writes_goes_the_short_way_later(
    no_query: Any,
) -> None:
    plans.forget()
    with transaction.atomic():
        Tag(pk=1, name="mine").save()
        assert Tag.objects.get(pk=1).name == "mine"
    keep(lambda: Tag.objects.get(pk=1))
    no_query()
    assert Tag.objects.get(pk=1).name == "mine"
    assert not reasons.bypasses["testapp.Tag", "get", reasons.Reason("nothing")]


def test_what_a_write_is_decided_on_is_not_asked_of_the_cache() -> None:
    keep(lambda: Tag.objects.get(pk=1))
    with scopes.deciding():
        assert queries(lambda: Tag.objects.get(pk=1)) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"CACHEOPS_ENABLED": False},
        {"CACHEOPS": {"testapp.tag": None}},
        {"CACHEOPS": {"testapp.*": {"ops": "count", "timeout": 60}}},
    ],
    ids=str,
)
def test_what_nobody_wants_cached_is_not(changed: dict[str, Any]) -> None:
    keep(lambda: Tag.objects.get(pk=1))
    with override_settings(**changed):
        assert [queries(lambda: Tag.objects.get(pk=1)) for _ in range(2)] == [1, 1]
    assert is_cached(lambda: Tag.objects.get(pk=1))


@override_settings(CACHEOPS={"testapp.*": {"ops": "get", "timeout": 60, "lock": True}})
def test_gets_under_a_lock_are_answered_as_ever() -> None:
    keep(lambda: Tag.objects.get(pk=1))
    assert is_right(lambda: Tag.objects.get(pk=1))


class Hinted:
    """Notes what it is asked."""

    asked: list[Any]

    def db_for_read(self, model: Any, **hints: Any) -> None:
        self.asked.append((model, hints))


def test_a_router_is_asked_with_the_object_that_refers() -> None:
    post = Post.objects.nocache().get()
    _ = Post.objects.nocache().get().category
    router = Hinted()
    router.asked = []
    with override_settings(DATABASE_ROUTERS=[router]):
        _ = post.category
    assert (Category, {"instance": post}) in router.asked


def test_a_miss_is_counted_and_told() -> None:
    answer(lambda: Tag.objects.get(pk=1))
    told: list[Any] = []

    def listen(**kwargs: Any) -> None:
        told.append(kwargs["hit"])

    cache_read.connect(listen)
    try:
        before = counters.collect()
        for _ in range(2):
            answer(lambda: Tag.objects.get(pk=99))
    finally:
        cache_read.disconnect(listen)
    counted = counters.collect()
    assert told == [False, True]
    assert [
        counted["testapp.Tag", "get", what] - before["testapp.Tag", "get", what]
        for what in ("misses", "fills", "hits")
    ] == [1, 1, 1]


def test_hits_are_counted_and_told() -> None:
    told: list[Any] = []

    def note(sender: Any, hit: bool, **kwargs: Any) -> None:
        told.append((sender, hit))

    keep(lambda: Tag.objects.get(pk=1))
    counters.reset()
    cache_read.connect(note)
    try:
        Tag.objects.get(pk=1)
    finally:
        cache_read.disconnect(note)
    assert told == [(Tag, True)]
    assert counters.collect()["testapp.Tag", "get", "hits"] == 1


def test_coroutines_find_what_was_got() -> None:
    keep(lambda: Tag.objects.get(pk=1))

    async def get() -> Tag:
        return await Tag.objects.aget(pk=1)

    assert queries(lambda: asyncio.run(get())) == 0
    assert queries(async_to_sync(get)) == 0


class Loud(QuerySet[Any]):
    """A queryset with a `filter()` of its own."""

    def filter(self, *args: Any, **kwargs: Any) -> Any:
        return super().filter(*args, **kwargs).exclude(name="t1")


def test_a_queryset_that_filters_in_its_own_way_does() -> None:
    rows = Loud(Tag)
    keep(lambda: Tag.objects.get(pk=1))
    for _ in range(2):
        with pytest.raises(Tag.DoesNotExist):
            rows.get(pk=1)


def test_what_a_test_puts_in_the_place_of_djangos_methods_is_called() -> None:
    keep(lambda: Tag.objects.get(pk=1))
    with mock.patch.object(QuerySet, "get", return_value="mocked"):
        assert Tag.objects.get(pk=1) == "mocked"
    nothing = mock.patch.object(Tag.objects, "get_queryset", return_value=Tag.objects.none())
    with nothing, pytest.raises(Tag.DoesNotExist):
        Tag.objects.get(pk=1)


@pytest.mark.skipif(django.VERSION < (6, 1), reason="fetch modes came with Django 6.1")
def test_fetch_modes_hold_for_references() -> None:
    from django.core.exceptions import FieldFetchBlocked
    from django.db.models import FETCH_PEERS, FETCH_RAISE

    keep(lambda: Category.objects.get(id=1))
    (post,) = Post.objects.nocache().fetch_mode(FETCH_PEERS)
    assert post.category._state.fetch_mode is FETCH_PEERS
    (post,) = Post.objects.nocache().fetch_mode(FETCH_RAISE)
    with pytest.raises(FieldFetchBlocked):
        _ = post.category


@pytest.mark.parametrize("rows", [0, 1, 2, 25])
def test_what_is_not_one_is_told_in_djangos_words_whoever_has_looked(rows: int) -> None:
    def told(get: Callable[[], Any]) -> str:
        try:
            return f"{get()}"
        except (Post.DoesNotExist, Post.MultipleObjectsReturned) as error:
            return f"{type(error)} {error}"

    Post.objects.all().delete()
    Post.objects.bulk_create(Post(title="x", category_id=1) for _ in range(rows))
    django = told(lambda: Post.objects.nocache().get(title="x"))
    Post.objects.filter(title="y").first()
    told(lambda: Post.objects.get(title="y"))
    assert [told(lambda: Post.objects.get(title="x")) for _ in range(3)] == [django] * 3


def test_a_deferred_key_is_read_first() -> None:
    keep(lambda: Category.objects.get(id=1))
    post = Post.objects.nocache().only("title").get()
    assert post.category.pk == 1
