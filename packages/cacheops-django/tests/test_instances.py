"""Objects that are made of what the cache keeps: in nothing other than those that Django makes."""

import json
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import django
import pytest
from answers import Ask, answer, is_right, keep, queries, uncached
from django.db import transaction
from django.db.models import F, Model
from django.db.models.signals import ModelSignal, post_init, pre_init
from django.test import override_settings
from numbering import go_on_counting
from testapp.models import (
    Author,
    Category,
    Document,
    Everything,
    Initialized,
    Loaded,
    Pizzeria,
    Place,
    Post,
    Rated,
    Restaurant,
    StarredPlace,
    Tag,
)

from cacheops_django import caches, scopes
from cacheops_django.instances import is_plain, keeps_types

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
@transaction.atomic  # or each row would be a transaction, with fences of its own
def _rows() -> None:
    category = Category.objects.create(pk=1, title="c")
    author = Author.objects.create(pk=1, name="a")
    for number in (1, 2):
        Tag.objects.create(pk=number, name=f"t{number}")
        Post.objects.create(
            pk=number, title="p", views=number, category=category, editor=author if number == 1 else None
        )
        Document.objects.create(
            pk=number, file="a/b.txt", loud="aloud", tag_id=number if number == 1 else None
        )
        Everything.objects.create(pk=number, blob=b"\0a", data={"k": [number]}, words=["a", "b"])
        Pizzeria.objects.create(pk=number, name="n", stars=number)
    go_on_counting()


ASKS: dict[str, Ask] = {
    "plain": lambda: list(Post.objects.order_by("pk")),
    "of every type": lambda: list(Everything.objects.order_by("pk")),
    "only": lambda: list(Post.objects.only("views", "title").order_by("pk")),
    "defer": lambda: list(Post.objects.defer("text", "category").order_by("pk")),
    "annotated": lambda: list(Post.objects.annotate(x=F("views") + 1, y=F("title")).order_by("pk")),
    "select_related": lambda: list(Post.objects.select_related("category__parent", "editor").order_by("pk")),
    "select_related with only": lambda: list(
        Post.objects.select_related("category").only("title", "category__title").order_by("pk")
    ),
    "select_related backwards": lambda: list(Author.objects.select_related("profile")),
    "select_related to children": lambda: list(Place.objects.select_related("restaurant__pizzeria").order_by("pk")),
    "select_related to a child of a child": lambda: list(Restaurant.objects.select_related("pizzeria", "city")),
    "child": lambda: list(Pizzeria.objects.order_by("pk")),
    "proxy": lambda: list(StarredPlace.objects.order_by("pk")),
    "file": lambda: list(Document.objects.select_related("tag").order_by("pk")),
    "__init__": lambda: list(Initialized.objects.order_by("pk")),
    "from_db": lambda: list(Loaded.objects.order_by("pk")),
    "property for an annotation": lambda: list(Rated.objects.annotate(score=F("views")).order_by("pk")),
    "known relation": lambda: list(Category(pk=1).posts.order_by("pk")),
    "union": lambda: list(Tag.objects.filter(pk=1).union(Tag.objects.filter(pk=2))),
}  # fmt: skip


@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)
def test_a_cached_object_is_the_databases_in_all_that_can_be_seen(ask: Ask) -> None:
    keep(ask)
    assert is_right(ask)


@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)
def test_cached_objects_are_pickled_as_the_databases_are(ask: Ask) -> None:
    with scopes.deciding():
        expected = [pickle.dumps(made.__reduce__()[2]) for made in ask()]
    keep(ask)
    assert [pickle.dumps(made.__reduce__()[2]) for made in ask()] == expected


@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)
def test_what_is_asked_first_is_the_databases_too(ask: Ask) -> None:
    assert answer(ask) == uncached(ask)


@pytest.mark.parametrize(
    "model, expected",
    [(Post, True), (Pizzeria, True), (StarredPlace, True), (Everything, True), (Document, False),
     (Initialized, False), (Loaded, False)],
)  # fmt: skip
def test_only_models_that_leave_it_to_django_are_made_without_it(model: type[Model], expected: bool) -> None:
    assert is_plain(model) is expected


@pytest.mark.parametrize(
    "serializer, expected",
    [("pickle", True), ("json", True), (pickle, True), (json, False)],
    ids=["pickle", "json", "a module like pickle", "a module like JSON"],
)
def test_rows_are_kept_by_serializers_that_bring_back_the_types_of_values(
    serializer: Any, expected: bool
) -> None:
    assert keeps_types(serializer) is expected


@contextmanager
def listening(signal: ModelSignal, receive: Callable[..., Any]) -> Iterator[None]:
    signal.connect(receive, sender=Tag)
    try:
        yield
    finally:
        signal.disconnect(receive, sender=Tag)


def test_who_listens_to_init_signals_is_told_of_cached_objects() -> None:
    def mark(instance: Tag, **kwargs: Any) -> None:
        instance.name += "!"

    def first() -> Tag:
        return Tag.objects.get(pk=1)

    keep(first)
    with listening(post_init, mark):
        assert first().name == "t1!"
        assert queries(first) == 0
    assert first().name == "t1"


def test_who_listens_before_init_is_told_what_the_database_would_tell() -> None:
    told: list[Any] = []

    def note(args: Any, **kwargs: Any) -> None:
        told.append(tuple(args))

    keep(lambda: list(Tag.objects.order_by("pk")))
    with listening(pre_init, note):
        list(Tag.objects.order_by("pk"))
    assert told == [(1, "t1"), (2, "t2")]


def test_an_object_knows_where_it_was_reached_from_by_a_key_that_was_not_selected() -> None:
    category = Category.objects.get(pk=1)
    posts = [category.posts.only("title").get(pk=1) for _ in range(2)]
    # Django asks the database for the key, and so do we.
    assert all(post.category is category and "category_id" in vars(post) for post in posts)


def test_what_one_does_to_an_object_does_not_reach_the_next_one() -> None:
    def data() -> Any:
        return Everything.objects.get(pk=1).data

    keep(data)
    data()["k"].append("mine")
    assert data() == {"k": [1]}


def test_what_one_does_to_an_object_that_was_just_read_does_not_reach_the_cache() -> None:
    Everything.objects.get(pk=1).data["k"].append("mine")
    assert Everything.objects.get(pk=1).data == {"k": [1]}


def test_rows_that_are_not_of_this_query_are_a_miss(caplog: pytest.LogCaptureFixture) -> None:
    def tag() -> Tag:
        return Tag.objects.get(pk=1)

    keep(tag)
    client = caches.current().driver.client
    (entry,) = client.scan_iter("cacheops:e:*")
    rows = pickle.dumps(((1, "t1"),), pickle.HIGHEST_PROTOCOL)
    stored = client.get(entry)
    assert stored.endswith(rows)
    client.set(entry, stored.removesuffix(rows) + pickle.dumps(((1, "t1", "more"),)))
    assert queries(tag) == 1
    assert "counts as a miss" in caplog.text
    assert queries(tag) == 0


@override_settings(CACHEOPS={"testapp.*": {"ops": "all", "timeout": 600, "lock": True}})
@pytest.mark.parametrize("ask", [ASKS["plain"], ASKS["of every type"]], ids=["plain", "of every type"])
def test_under_a_lock_objects_are_made_alike(ask: Ask) -> None:
    assert answer(ask) == uncached(ask)
    keep(ask)
    assert is_right(ask)


@pytest.mark.skipif(django.VERSION < (6, 1), reason="fetch modes came with Django 6.1")
def test_cached_peers_fetch_together() -> None:
    from django.db.models import FETCH_PEERS

    def posts() -> Any:
        return list(Post.objects.select_related("category").fetch_mode(FETCH_PEERS).order_by("pk"))

    keep(posts)
    assert is_right(posts)
    one, other = posts()
    assert [ref() for ref in one._state.peers] == [one, other]
    assert [ref() for ref in one.category._state.peers] == [one.category, other.category]
