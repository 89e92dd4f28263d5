"""What querysets answer from the cache: the same as from the database, as often as they are asked."""

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import django
import pytest
from answers import Ask, answer, is_cached, is_right, keep, queries
from asgiref.sync import async_to_sync
from django.core.exceptions import FieldError
from django.db import models, transaction
from django.db.models import Count, F, Max, Prefetch, Sum, prefetch_related_objects
from django.test import override_settings
from numbering import go_on_counting
from testapp.models import (
    Author,
    Category,
    City,
    Club,
    Everything,
    Label,
    Post,
    Profile,
    Restaurant,
    StarredPlace,
    Tag,
)

from cacheops_core.errors import ConfigurationError
from cacheops_django import caches, reasons
from cacheops_django.functions import cached_as
from cacheops_django.reads import wish_of
from cacheops_django.signals import cache_read

pytestmark = pytest.mark.django_db

BY_HAND = override_settings(CACHEOPS={"testapp.*": {"timeout": 600}})
"""Profiles that cache nothing until somebody asks for it."""


@pytest.fixture(autouse=True)
@transaction.atomic  # or each row would be a transaction, with fences of its own
def _rows() -> None:
    """Make two posts of one category, with tags."""
    category = Category.objects.create(pk=1, title="c")
    author = Author.objects.create(pk=1, name="a")
    for number in (1, 2):
        post = Post.objects.create(
            pk=number, title=f"p{number}", category=category, editor=author, views=number
        )
        post.tags.create(pk=number, name=f"t{number}")
    go_on_counting()


def times(ask: Ask) -> list[int]:
    """Return how often the database is asked the first and the second time."""
    return [queries(ask), queries(ask)]


HIT, MISS = [1, 0], [1, 1]

# cache() and nocache()


def test_nocache_goes_past_the_cache() -> None:
    keep(lambda: list(Tag.objects.all()))
    assert times(lambda: list(Tag.objects.nocache())) == MISS
    assert times(Tag.objects.filter(name="t1").nocache().count) == MISS


@BY_HAND
def test_cache_asks_for_all_operations() -> None:
    assert times(lambda: list(Tag.objects.all())) == MISS
    assert times(lambda: list(Tag.objects.cache())) == HIT
    assert times(lambda: Tag.objects.cache().filter(name="t1").count()) == HIT
    assert times(lambda: Tag.objects.filter(name="t1").cache().exists()) == HIT


@BY_HAND
def test_cache_asks_for_the_operations_that_it_names() -> None:
    rows = Tag.objects.cache(ops="count get")
    assert times(rows.count) == HIT
    assert times(lambda: rows.get(pk=1)) == HIT
    assert times(lambda: list(rows.all())) == MISS
    assert times(lambda: rows.filter(pk=1).exists()) == MISS


@pytest.mark.parametrize("ops", [["fetch"], {"fetch"}, "fetch", ("fetch", "count")], ids=repr)
@BY_HAND
def test_operations_may_be_named_in_any_collection(ops: Any) -> None:
    assert times(lambda: list(Tag.objects.cache(ops=ops))) == HIT


@BY_HAND
def test_cache_and_nocache_return_copies() -> None:
    plain = Tag.objects.all()
    wanted = plain.cache()
    unwanted = wanted.nocache()
    assert times(lambda: list(plain.all())) == MISS
    assert times(lambda: list(wanted.all())) == HIT
    assert times(lambda: list(unwanted.all())) == MISS


@BY_HAND
def test_what_was_asked_of_a_queryset_is_asked_of_what_is_made_from_it() -> None:
    assert times(lambda: list(Tag.objects.cache().filter(pk__gt=0).exclude(pk=9).order_by("name")[:1])) == HIT
    assert times(lambda: list(Tag.objects.cache().values("name").distinct())) == HIT


def test_a_model_without_a_profile_cannot_be_cached() -> None:
    with override_settings(CACHEOPS={"testapp.tag": None}):
        with pytest.raises(ConfigurationError, match=r'"testapp\.tag"'):
            Tag.objects.cache()
        assert times(lambda: list(Tag.objects.all())) == MISS


@pytest.mark.parametrize("ops", ["fetsh", ["get", "fetsh"], 1], ids=repr)
def test_an_operation_that_does_not_exist_is_an_error(ops: Any) -> None:
    with pytest.raises(ConfigurationError):
        Tag.objects.cache(ops=ops)


@pytest.mark.parametrize("timeout", [5, 0.5, timedelta(seconds=5), None], ids=repr)
def test_a_timeout_may_be_of_any_kind(timeout: Any) -> None:
    keep(lambda: list(Tag.objects.cache(timeout=timeout)))


@pytest.mark.parametrize("timeout", [-1, "soon", True], ids=repr)
def test_a_timeout_that_is_no_time_is_an_error(timeout: Any) -> None:
    with pytest.raises(ConfigurationError):
        Tag.objects.cache(timeout=timeout)


def seconds_left(ask: Ask) -> float:
    client = caches.current().driver.client
    client.flushall()
    answer(ask)
    (entry,) = client.scan_iter("cacheops:e:*")
    return float(client.pttl(entry)) / 1000


def test_an_entry_lives_for_its_timeout_or_that_of_the_profile() -> None:
    assert 590 < seconds_left(lambda: list(Tag.objects.all())) <= 600
    assert 4 < seconds_left(lambda: list(Tag.objects.cache(timeout=5))) <= 5
    assert 4 < seconds_left(lambda: Tag.objects.cache(timeout=timedelta(seconds=5)).count()) <= 5


def test_write_only_stores_but_does_not_ask() -> None:
    keep(lambda: list(Tag.objects.all()))
    Tag.objects.filter(pk=1).update(name="by update()")
    rows = Tag.objects.cache(write_only=True)
    assert times(lambda: list(rows.all())) == MISS
    assert "by update()" in {tag.name for tag in Tag.objects.all()}
    assert is_cached(lambda: list(Tag.objects.all()))


def test_inplace_changes_the_queryset_and_cloning_stops_that() -> None:
    rows = Tag.objects.inplace()
    assert rows.filter(pk=1) is rows
    copied = rows.cloning()
    assert copied.filter(pk=2) is not copied
    still = copied.cloning(0)
    assert still.filter(pk=1) is still
    assert [tag.pk for tag in rows] == [1]


def test_a_clone_is_a_copy_also_of_a_queryset_that_is_changed_in_place() -> None:
    # Querysets of django-cacheops have this method, which its documentation does not mention.
    rows = Tag.objects.inplace()
    copied = rows.clone()
    assert copied.filter(pk=1) is copied
    assert len(rows) > len(copied) == 1
    assert wish_of(Tag.objects.cache(ops="count").clone()).ops == {"count"}


def test_what_needs_no_database_is_not_looked_up() -> None:
    seen: list[Any] = []

    def note(**kwargs: Any) -> None:
        seen.append(kwargs)

    cache_read.connect(note)
    try:
        assert times(lambda: list(Tag.objects.filter(pk__in=[]))) == [0, 0]
    finally:
        cache_read.disconnect(note)
    assert seen == []


@BY_HAND
def test_managers_and_related_managers_have_the_methods_too() -> None:
    post = Post.objects.get(pk=1)
    for rows in (post.tags.cache, Category(pk=1).posts.cache, City.rows.cache):
        assert times(lambda rows=rows: list(rows())) == HIT
    assert times(lambda: list(StarredPlace.objects.cache())) == HIT
    assert times(lambda: list(post.tags.nocache())) == MISS


@override_settings(CACHEOPS={"testapp.*": {"ops": "get", "timeout": 600}})
def test_a_get_is_whatever_fetches_one_row() -> None:
    for ask in (
        lambda: Post.objects.get(pk=1),
        Post.objects.filter(views=1).first,
        Post.objects.order_by("pk").last,
        lambda: Post.objects.latest("views"),
        lambda: Post.objects.earliest("views"),
    ):
        assert times(ask) == HIT
    assert times(lambda: Post.objects.nocache().get(pk=1).category) == [2, 1]
    assert times(lambda: list(Post.objects.all())) == MISS
    assert times(Post.objects.count) == MISS


@override_settings(CACHEOPS={"testapp.*": {"ops": "fetch", "timeout": 600}})
def test_a_fetch_is_whatever_brings_rows() -> None:
    assert times(lambda: list(Post.objects.all())) == HIT
    assert times(lambda: Post.objects.in_bulk([1])) == HIT
    assert times(lambda: list(Post.objects.dates("created", "day"))) == HIT


@override_settings(CACHEOPS={"testapp.*": {"ops": "fetch", "timeout": 600}})
def test_a_get_is_a_fetch_too() -> None:
    # As it is in django-cacheops 7.2, where a get is a fetch of a row or two.
    for ask in (
        lambda: Post.objects.get(pk=1),
        lambda: Post.objects.filter(views=1).get(),
        Post.objects.filter(views=1).first,
        lambda: Post.objects.latest("views"),
    ):
        assert times(ask) == HIT


@override_settings(CACHEOPS={"testapp.*": {"ops": {"exists", "aggregate"}, "timeout": 600}})
def test_exists_and_aggregate_are_told_apart() -> None:
    assert times(Post.objects.filter(views=1).exists) == HIT
    assert times(lambda: Post.objects.contains(Post(pk=1))) == HIT
    assert times(lambda: Post.objects.aggregate(Sum("views"))) == HIT
    assert times(Post.objects.count) == MISS


@override_settings(CACHEOPS_ENABLED=False)
def test_nothing_is_cached_while_it_is_turned_off() -> None:
    assert times(lambda: list(Tag.objects.cache())) == MISS


# What comes back


def test_each_answer_is_made_of_new_objects() -> None:
    first, second = Tag.objects.get(pk=1), Tag.objects.get(pk=1)
    third = Tag.objects.get(pk=1)
    first.name = second.name = "changed"
    assert third.name == Tag.objects.get(pk=1).name == "t1"


def test_a_list_that_is_changed_is_changed_for_its_owner_alone() -> None:
    ask = lambda: Tag.objects.order_by("pk")  # noqa: E731
    for _ in range(2):
        rows = ask()
        list(rows)
        rows._result_cache.clear()
    assert len(ask()) == 2


def test_rows_know_the_object_that_they_were_reached_from() -> None:
    category = Category.objects.get(pk=1)
    for _ in range(2):
        assert queries(lambda: None) == 0
        assert all(post.category is category for post in category.posts.all())


def test_another_object_is_not_taken_for_the_one_that_was_there_before() -> None:
    keep(lambda: list(Category.objects.get(pk=1).posts.all()))
    mine = Category(pk=1, title="mine")
    assert mine.posts.all()[0].category is mine
    assert Post.objects.filter(category=1)[0].category.title == "c"


def test_a_row_of_a_one_to_one_knows_its_other_end() -> None:
    Profile.objects.create(author_id=1)
    for _ in range(2):
        author = Author.objects.get(pk=1)
        assert author.profile.author is author


def test_prefetched_rows_know_their_owner() -> None:
    for expected in (2, 0):
        found: list[Category] = []
        assert (
            queries(lambda found=found: found.extend(Category.objects.prefetch_related("posts"))) == expected
        )
        assert queries(lambda found=found: [post.category for post in found[0].posts.all()]) == 0
        assert found[0].posts.all()[0].category is found[0]


def test_prefetching_asks_the_cache_for_each_of_its_parts() -> None:
    def ask(rows: Any = None) -> Any:
        posts = Post.objects.order_by("pk").prefetch_related(
            Prefetch("tags", rows, to_attr="found"), "category"
        )
        return [(post, post.found, post.category) for post in posts]

    assert times(ask) == [3, 0]
    assert queries(lambda: ask(Tag.objects.nocache())) == 1
    assert is_right(ask)


def test_prefetching_for_objects_at_hand_is_cached() -> None:
    def ask() -> Any:
        posts = [Post(pk=1), Post(pk=2)]
        prefetch_related_objects(posts, "tags")
        return [list(post.tags.all()) for post in posts]

    assert times(ask) == HIT
    Post(pk=1).tags.clear()
    assert is_right(ask)


def test_deferred_columns_stay_deferred() -> None:
    for _ in range(2):
        post = Post.objects.only("title").get(pk=1)
        assert post.get_deferred_fields() >= {"text", "views"}
        assert post.views == 1
    assert Post.objects.defer("title").get(pk=1).get_deferred_fields() == {"title"}


def test_objects_know_their_database_and_can_be_saved() -> None:
    keep(lambda: Post.objects.get(pk=1))
    post = Post.objects.get(pk=1)
    assert (post._state.db, post._state.adding) == ("default", False)
    post.title = "saved"
    post.save()
    assert Post.objects.get(pk=1).title == "saved"


def test_named_values_are_named_again() -> None:
    for _ in range(2):
        row = Post.objects.values_list("pk", "title", named=True).get(pk=1)
        assert (row.pk, row.title, row._fields) == (1, "p1", ("pk", "title"))


def test_values_under_other_names_are_other_answers() -> None:
    keep(lambda: list(Post.objects.values(a=F("pk"), b=F("views"))))
    assert next(iter(Post.objects.order_by("pk").values(b=F("pk"), a=F("views")))) == {"b": 1, "a": 1}
    assert is_right(lambda: list(Post.objects.values(b=F("pk"), a=F("views"))))


def test_the_same_column_through_another_field_is_another_answer() -> None:
    Everything.objects.create(pk=1, single=2, tenfold=2)
    keep(lambda: list(Everything.objects.annotate(x=Max("single")).values_list("x")))
    assert is_right(lambda: list(Everything.objects.annotate(x=Max("tenfold")).values_list("x")))


def test_that_there_is_no_such_row_is_cached() -> None:
    ask = lambda: Post.objects.get(pk=99)  # noqa: E731
    assert times(ask) == HIT
    with pytest.raises(Post.DoesNotExist, match="Post matching query does not exist"):
        ask()
    Post.objects.create(pk=99, title="now", category_id=1)
    assert ask().title == "now"


def test_that_there_are_several_is_cached() -> None:
    ask = lambda: Post.objects.get(category=1)  # noqa: E731
    assert times(ask) == HIT
    with pytest.raises(Post.MultipleObjectsReturned, match="it returned 2"):
        ask()
    Post.objects.filter(pk=2).delete()
    assert ask().pk == 1


def test_that_there_is_nothing_is_cached() -> None:
    for ask in (
        Post.objects.filter(title="none").first,
        Post.objects.filter(title="none").count,
        lambda: list(Post.objects.filter(title="none")),
        lambda: Post.objects.filter(title="none").aggregate(Sum("views")),
    ):
        assert times(ask) == HIT


def test_a_key_that_is_followed_is_a_get() -> None:
    label = Label.objects.create(text="l", target=Post.objects.get(pk=1))
    keep(lambda: Post.objects.get(pk=1).editor)
    keep(lambda: Label.objects.get(pk=label.pk).target)
    keep(lambda: Category.objects.get(pk=1).parent)


def test_refresh_from_db_asks_the_database() -> None:
    post = Post.objects.get(pk=1)
    keep(lambda: Post.objects.get(pk=1))
    assert times(post.refresh_from_db) == MISS
    assert times(lambda: post.refresh_from_db(fields=["title"])) == MISS


def test_an_iterator_asks_the_database() -> None:
    keep(lambda: list(Tag.objects.all()))
    assert times(lambda: list(Tag.objects.iterator())) == MISS
    keep(lambda: list(Tag.objects.all()))


def test_a_queryset_that_has_its_rows_counts_them_itself() -> None:
    rows = Tag.objects.all()
    list(rows)
    assert times(lambda: (rows.count(), rows.exists(), len(rows), bool(rows), rows.contains(Tag(pk=1)))) == [
        0,
        0,
    ]


# Aggregates


def test_aggregates_may_refer_to_one_another_and_to_annotations() -> None:
    rows = Post.objects.annotate(double=F("views") * 2)
    ask = lambda: rows.aggregate(n=Count("pk"), s=Sum("double"), mean=F("s") / F("n"))  # noqa: E731
    assert times(ask) == HIT
    assert ask() == {"n": 2, "s": 6, "mean": 3}


@pytest.mark.parametrize(
    "aggregate",
    [
        lambda: Post.objects.aggregate(Sum("nothing")),
        lambda: Post.objects.aggregate(Sum("views") + 1),
        lambda: Post.objects.aggregate("views"),
        lambda: Post.objects.aggregate(n=F("views")),
    ],
    ids=["an unknown name", "no name", "no expression", "no aggregate"],
)
def test_wrong_aggregates_get_djangos_own_error(aggregate: Callable[[], Any]) -> None:
    with override_settings(CACHEOPS_ENABLED=False), pytest.raises((FieldError, TypeError)) as plain:
        aggregate()
    with pytest.raises(plain.type) as cached:
        aggregate()
    assert str(cached.value) == str(plain.value)


# What cannot be stored


class Stubborn(models.CharField):
    """A field whose values cannot be pickled."""

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        return lambda: value


def test_what_cannot_be_pickled_is_returned_and_not_stored(caplog: pytest.LogCaptureFixture) -> None:
    rows = Post.objects.annotate(x=models.ExpressionWrapper(F("title"), output_field=Stubborn()))
    with caplog.at_level(logging.WARNING, "cacheops"):
        for _ in range(3):
            assert rows.get(pk=1).x() == "p1"
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) <= 1


def test_bytes_come_back_as_the_type_that_the_database_gives() -> None:
    # Which is memoryview on PostgreSQL, and cannot be pickled.
    Everything.objects.create(blob=b"a")
    for ask in (
        Everything.objects.get,
        lambda: list(Everything.objects.all()),
        lambda: list(Everything.objects.values("blob")),
        lambda: list(Everything.objects.values_list("blob", flat=True)),
        cached_as(Everything)(lambda: list(Everything.objects.nocache())),
    ):
        assert times(ask) == HIT
    blobs = Everything.objects.values_list("blob", flat=True)
    assert type(blobs.get()) is type(blobs.nocache().get())


def test_receivers_are_told_of_hits_and_misses() -> None:
    seen: list[Any] = []

    def note(sender: Any, func: Any, hit: bool, **kwargs: Any) -> None:
        seen.append((sender, func, hit))

    cache_read.connect(note)
    try:
        for _ in range(2):
            Tag.objects.filter(name="t1").count()
    finally:
        cache_read.disconnect(note)
    assert seen == [(Tag, None, False), (Tag, None, True)]


def test_a_receiver_that_raises_takes_nothing_away() -> None:
    def fail(**kwargs: Any) -> None:
        raise RuntimeError

    cache_read.connect(fail)
    try:
        assert [Tag.objects.count(), Tag.objects.count()] == [2, 2]
    finally:
        cache_read.disconnect(fail)


# Async

ASYNC: dict[str, Callable[[], Any]] = {
    "aget": lambda: Post.objects.aget(pk=1),
    "afirst": lambda: Post.objects.order_by("pk").afirst(),
    "alast": lambda: Post.objects.order_by("pk").alast(),
    "alatest": lambda: Post.objects.alatest("views"),
    "aearliest": lambda: Post.objects.aearliest("views"),
    "acount": Post.objects.acount,
    "aexists": lambda: Post.objects.filter(views=1).aexists(),
    "acontains": lambda: Post.objects.acontains(Post(pk=1)),
    "aaggregate": lambda: Post.objects.aaggregate(Sum("views")),
    "ain_bulk": lambda: Post.objects.ain_bulk([1, 2]),
}


@pytest.mark.parametrize("ask", ASYNC.values(), ids=ASYNC)
def test_the_async_twins_are_cached(ask: Callable[[], Any]) -> None:
    async def wait() -> Any:
        return await ask()

    assert times(async_to_sync(wait)) == HIT


def test_async_iteration_is_cached() -> None:
    async def wait() -> list[Any]:
        return [row async for row in Tag.objects.order_by("pk")]

    assert times(async_to_sync(wait)) == HIT
    assert is_right(async_to_sync(wait))


def test_async_writes_are_seen() -> None:
    async def write() -> None:
        tag = await Tag.objects.aget(pk=1)
        tag.name = "async"
        await tag.asave()
        await asyncio.gather(Tag.objects.acreate(name="x"))
        await Tag.objects.abulk_create([Tag(name="y")])

    keep(lambda: list(Tag.objects.order_by("pk")))
    async_to_sync(write)()
    assert [tag.name for tag in Tag.objects.order_by("pk")] == ["async", "t2", "x", "y"]


# Fetch modes

if django.VERSION >= (6, 1):

    def test_rows_that_were_fetched_together_fetch_together_what_they_lack() -> None:
        Category.objects.create(pk=2, title="d")
        Post.objects.filter(pk=2).invalidated_update(category=2)
        rows = lambda: Post.objects.fetch_mode(models.FETCH_PEERS).order_by("pk")  # noqa: E731
        keep(lambda: [deferred.pk for deferred in rows()])
        assert queries(lambda: [post.category.title for post in rows().nocache()]) == 2
        caches.current().invalidate("testapp_category")
        assert queries(lambda: [post.category.title for post in rows()]) == 1

    def test_rows_that_must_not_fetch_do_not_when_they_come_from_the_cache() -> None:
        rows = lambda: Post.objects.fetch_mode(models.FETCH_RAISE)  # noqa: E731
        keep(lambda: [post.pk for post in rows()])
        with pytest.raises(Exception, match="category"):
            _ = rows()[0].category
        assert Post.objects.get(pk=1).category.title == "c"


def test_the_reason_why_is_counted() -> None:
    answer(lambda: Post.objects.order_by("?").first())
    assert any(model == "testapp.Post" and op == "get" for model, op, _ in reasons.bypasses)


def test_what_was_asked_is_not_lost_by_a_custom_manager() -> None:
    assert wish_of(Restaurant.objects.cache(ops="get").filter(pk=1)).ops == {"get"}
    assert wish_of(Club.objects.all()).ops is None
