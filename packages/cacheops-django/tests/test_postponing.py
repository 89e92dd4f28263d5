"""`postpone_invalidation`: what many transactions have written is dropped at once, when the block ends."""

from typing import Any

import pytest
from answers import is_cached, is_right, keep, queries
from django.db import transaction
from testapp.models import Category, Post, Tag

from cacheops_core.testing import count_round_trips
from cacheops_django import caches
from cacheops_django.functions import cached_as
from cacheops_django.invalidation import invalidate_model, invalidate_obj, postpone_invalidation

pytestmark = pytest.mark.django_db(databases=["default", "other"])


def count() -> int:
    return Tag.objects.count()


def create_and_fail() -> None:
    Tag.objects.create(name="a")
    raise RuntimeError


def test_until_its_end_what_was_true_before_is_served_and_then_no_longer() -> None:
    keep(count)
    with postpone_invalidation():
        Tag.objects.create(name="a")
        Tag.objects.create(name="b")
        assert count() == queries(count) == 0
    assert count() == 2


def test_an_exception_loses_nothing() -> None:
    keep(count)
    with pytest.raises(RuntimeError):
        postpone_invalidation()(create_and_fail)()
    assert is_right(count)


def test_it_decorates_functions() -> None:
    @postpone_invalidation()
    def job() -> int:
        Tag.objects.create(name="a")
        return queries(count)

    keep(count)
    assert job() == 0
    assert is_right(count)


def test_the_outermost_one_sends() -> None:
    keep(count)
    with postpone_invalidation():
        with postpone_invalidation():
            Tag.objects.create(name="a")
        assert queries(count) == 0
    assert is_right(count)


def test_what_was_rolled_back_is_not_sent() -> None:
    keep(count)
    with postpone_invalidation():
        with pytest.raises(RuntimeError):
            transaction.atomic(create_and_fail)()
        Category.objects.create(title="a")
    assert is_cached(count)


def test_rows_that_were_not_written_stay() -> None:
    def other() -> list[Any]:
        return list(Tag.objects.filter(pk=2))

    keep(other)
    with postpone_invalidation():
        Tag.objects.create(pk=1, name="a")
        Tag(pk=1, name="c").save()
    assert is_cached(other)


def test_each_database_gets_its_own() -> None:
    asks = [count, lambda: Tag.objects.using("other").count()]
    for ask in asks:
        keep(ask)
    with postpone_invalidation():
        Tag.objects.create(name="a")
        Tag.objects.using("other").create(name="a")
    assert all(map(is_right, asks))


def test_what_is_dropped_by_hand_waits_too() -> None:
    tag = Tag.objects.create(name="a")
    kept = cached_as(Post)(lambda: Post.objects.nocache().count())
    keep(count)
    kept()
    with postpone_invalidation():
        invalidate_obj(tag)
        invalidate_model(Post)
        assert [queries(count), queries(kept)] == [0, 0]
    assert [queries(count), queries(kept)] == [1, 1]


def test_two_hundred_saves_are_two_round_trips_at_most() -> None:
    count()
    with count_round_trips(caches.current().driver.client) as trips, postpone_invalidation():
        for number in range(200):
            Tag(name=str(number)).save()
    assert trips.count <= 2
    assert is_right(count)
