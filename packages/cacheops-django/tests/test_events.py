"""Whoever listens is told of each lookup, of what went past the cache and why, and of what was dropped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from testapp.models import Tag

from cacheops_core.conditions import Dependencies
from cacheops_django import events
from cacheops_django.functions import cached_as
from cacheops_django.invalidation import invalidate_all

pytestmark = pytest.mark.django_db

TAGS = Dependencies.coerce({"testapp_tag": [{"id": 1}]})


@pytest.fixture
def told(db: None) -> Iterator[list[Any]]:
    seen: list[Any] = []
    events.listeners.append(seen.append)
    yield seen
    events.listeners.remove(seen.append)


def test_a_miss_and_a_hit_are_told_with_their_key_and_what_they_depend_on(told: list[Any]):
    for _ in range(2):
        list(Tag.objects.filter(pk=1))
    miss, hit = told
    assert (miss.model, miss.op, miss.is_hit, miss.is_stored) == ("testapp.Tag", "fetch", False, True)
    assert (hit.is_hit, hit.is_stored, hit.computing) == (True, False, 0)
    assert miss.key == hit.key
    assert miss.found == TAGS


def test_the_time_of_a_miss_contains_that_of_computing(told: list[Any]):
    Tag.objects.count()
    assert 0 < told[0].computing < told[0].seconds < 60


@cached_as(Tag)
def tag_names() -> list[str]:
    return [tag.name for tag in Tag.objects.nocache()]


@cached_as(Tag)
async def tag_names_awaited() -> list[str]:
    return [tag.name async for tag in Tag.objects.nocache()]


@pytest.mark.parametrize("call", [tag_names, async_to_sync(tag_names_awaited)], ids=["called", "awaited"])
def test_calls_are_told_as_well(told: list[Any], call: Any):
    for _ in range(2):
        call()
    assert [(event.op, event.is_hit) for event in told] == [("cached_as", False), ("cached_as", True)]


@pytest.mark.django_db(transaction=True)
def test_hits_on_an_event_loop_are_told(told: list[Any]):
    async def ask() -> None:
        for _ in range(2):
            await Tag.objects.acount()

    async_to_sync(ask)()
    assert [event.is_hit for event in told] == [False, True]


def test_a_reason_is_told(told: list[Any]):
    Tag.objects.order_by("?").first()
    [bypass] = told
    assert (bypass.model, bypass.op) == ("testapp.Tag", "get")
    assert "order_by" in bypass.reason


def test_what_a_write_drops_is_told(told: list[Any]):
    Tag.objects.create(pk=7, name="a")
    [drop] = [event for event in told if isinstance(event, events.Drop)]
    assert [(change.table, change.row["id"]) for change in drop.changes] == [("testapp_tag", "7")]


def test_dropping_everything_is_told(told: list[Any]):
    invalidate_all()
    assert told == [events.Drop(changes=())]
