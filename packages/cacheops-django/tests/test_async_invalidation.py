"""Invalidation from coroutines: at once, or when the transaction of their caller commits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import transaction
from testapp.models import Tag

from cacheops_django.fragments import ainvalidate_fragment
from cacheops_django.functions import cached_as
from cacheops_django.invalidation_async import ainvalidate_all, ainvalidate_model, ainvalidate_obj

made: list[str] = []


@cached_as(Tag.objects.filter(name="a"))
def count() -> int:
    made.append("count")
    return len(made)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "invalidate",
    [ainvalidate_obj, lambda tag: ainvalidate_model(Tag), lambda tag: ainvalidate_all()],
    ids=["object", "model", "all"],
)
def test_a_coroutine_can_drop_what_was_changed_elsewhere(invalidate: Callable[[Tag], Any]) -> None:
    made.clear()
    tag = Tag.objects.create(name="a")
    assert (count(), count()) == (1, 1)

    async def main() -> None:
        await invalidate(tag)

    async_to_sync(main)()
    assert count() == 2


@pytest.mark.django_db(transaction=True)
def test_in_a_transaction_it_is_dropped_at_the_commit() -> None:
    made.clear()
    tag = Tag.objects.create(name="a")
    count()
    with transaction.atomic():
        async_to_sync(ainvalidate_obj)(tag)
        assert count.__wrapped__() == 2
        transaction.set_rollback(True)
    assert count() == 1
    with transaction.atomic():
        async_to_sync(ainvalidate_obj)(tag)
    assert count() == 3


@pytest.mark.django_db
def test_a_fragment_can_be_dropped_by_a_coroutine() -> None:
    async_to_sync(ainvalidate_fragment)("menu", 1)
