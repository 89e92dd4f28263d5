"""Looking at an entry tells what reading it would, and changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from cacheops_core import Cache
from cacheops_core.examining import Examined, State, examine
from cacheops_core.testing.plugin import redis_client, redis_server

__all__ = ["redis_client", "redis_server"]

PRODUCTS = {"product": [{"category": 7}], "shop": []}


@pytest.fixture
def cache(redis_client: redis.Redis) -> Cache:
    return Cache(redis_client, timeout=60)


def look(cache: Cache, key: str = "k", dependencies: Any = PRODUCTS) -> Examined:
    return cache.driver.run(examine(cache, key, dependencies))


def keep(cache: Cache) -> None:
    cache.get_or_compute("k", PRODUCTS, lambda: "value")


def test_what_is_stored_is_a_hit_with_its_size_and_its_end(cache: Cache):
    keep(cache)
    seen = look(cache)
    assert seen.state is State.HIT
    assert seen.key == cache.key_of("k", PRODUCTS)
    assert seen.size == cache.driver.client.strlen(seen.key)
    assert 55 < (seen.expires_in or 0) <= 60


def test_the_age_of_each_stamp_is_told(cache: Cache):
    keep(cache)
    seen = look(cache)
    assert [(stamp.table, stamp.conjunction) for stamp in seen.stamps] == [
        ("product", (("category", "7"),)),
        ("shop", ()),
    ]
    assert all(stamp.born is not None and 0 <= seen.now - stamp.born < 60 for stamp in seen.stamps)


def test_nothing_is_stored_and_there_are_no_stamps(cache: Cache):
    seen = look(cache)
    assert (seen.state, seen.size, seen.expires_in) == (State.NOTHING, None, None)
    assert [(stamp.born, stamp.is_fenced) for stamp in seen.stamps] == [(None, False), (None, False)]


def test_an_entry_outlives_what_has_invalidated_it(cache: Cache):
    keep(cache)
    cache.invalidate("product", {"category": 7})
    seen = look(cache)
    assert seen.state is State.OUTDATED
    assert [(stamp.born is None, stamp.has_changed) for stamp in seen.stamps] == [
        (True, True),
        (False, False),
    ]


def test_what_has_changed_is_told_though_it_has_a_new_stamp(cache: Cache):
    keep(cache)
    cache.invalidate("shop")
    cache.get_or_compute("another", PRODUCTS, lambda: "value")
    seen = look(cache)
    assert seen.state is State.OUTDATED
    assert [(stamp.born is None, stamp.has_changed) for stamp in seen.stamps] == [
        (False, False),
        (False, True),
    ]


@pytest.mark.parametrize("change", [("product", {"category": 7}), "product"], ids=["rows", "table"])
def test_a_fence_is_told_from_a_stamp_that_is_gone(cache: Cache, change: Any):
    keep(cache)
    with cache.writing(change):
        seen = look(cache)
    assert seen.state is State.OUTDATED
    assert [(stamp.born is None, stamp.is_fenced) for stamp in seen.stamps] == [(True, True), (False, False)]
    assert [stamp.is_fenced for stamp in look(cache).stamps] == [False, False]


def test_garbage_is_told(cache: Cache):
    keep(cache)
    cache.driver.client.set(cache.key_of("k", PRODUCTS), b"garbage")
    seen = look(cache)
    assert (seen.state, seen.why) == (State.UNREADABLE, "it is no entry of this format")


def test_what_no_longer_loads_is_told(cache: Cache):
    keep(cache)
    other = Cache(cache.driver.client, timeout=60, serializer="json")
    assert look(other).state is State.UNREADABLE


def test_a_simple_value_depends_on_nothing(cache: Cache):
    assert look(cache, dependencies={}).state is State.NOTHING
    cache.set("k", 7)
    seen = look(cache, dependencies={})
    assert (seen.state, seen.stamps) == (State.HIT, ())


def test_looking_changes_nothing(cache: Cache):
    keep(cache)
    cache.invalidate("shop")
    client = cache.driver.client
    before = {key: client.dump(key) for key in client.scan_iter()}
    look(cache)
    look(cache, "other", {"other": []})
    assert {key: client.dump(key) for key in client.scan_iter()} == before
