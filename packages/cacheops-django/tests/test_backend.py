"""Django's cache on the project's server: as Django's own backends, sync and async."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.cache import caches
from django.core.cache.backends.locmem import LocMemCache
from django.test import override_settings
from hypothesis import given, settings
from hypothesis import strategies as st

from cacheops_core.testing import Server
from cacheops_django.backend import CacheBackend
from cacheops_django.simple import cache as simple_cache

pytestmark = pytest.mark.usefixtures("db")

KEYS = st.sampled_from(["a", "b", "c"])
VALUES = st.one_of(st.integers(-5, 5), st.text(max_size=3), st.none(), st.lists(st.booleans(), max_size=2))
TIMEOUTS = st.sampled_from([None, 0, -1, 60])
STEPS = st.one_of(
    st.tuples(st.sampled_from(["get", "has_key", "delete"]), st.tuples(KEYS)),
    st.tuples(st.just("get"), st.tuples(KEYS, VALUES)),
    st.tuples(st.sampled_from(["set", "add"]), st.tuples(KEYS, VALUES, TIMEOUTS)),
    st.tuples(st.just("touch"), st.tuples(KEYS, TIMEOUTS)),
    st.tuples(st.sampled_from(["incr", "decr"]), st.tuples(KEYS, st.integers(-3, 3))),
    st.tuples(st.sampled_from(["get_many", "delete_many"]), st.tuples(st.lists(KEYS, max_size=3))),
    st.tuples(st.just("set_many"), st.tuples(st.dictionaries(KEYS, VALUES, max_size=3), TIMEOUTS)),
    st.tuples(st.just("get_or_set"), st.tuples(KEYS, VALUES)),
    st.tuples(st.just("incr_version"), st.tuples(KEYS)),
    st.tuples(st.just("clear"), st.just(())),
)


def backend(location: str = "", **params: Any) -> CacheBackend:
    return CacheBackend(location, params)


class InMemory(LocMemCache):
    """Django's backend in memory, but that it also deletes nothing where what there was has expired."""

    def delete(self, key: Any, version: int | None = None) -> bool:
        return self.has_key(key, version) and bool(super().delete(key, version))


def outcome(act: Callable[..., Any], args: Any) -> Any:
    try:
        return act(*args)
    except (ValueError, TypeError):
        # A number that is added to text: Django's backends do not agree on the error.
        return ValueError


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(STEPS, max_size=12))
def test_it_does_what_the_backend_in_memory_does(steps: list[Any]) -> None:
    ours, theirs = backend(), InMemory("compared", {})
    ours.clear()
    theirs.clear()
    for name, args in steps:
        assert outcome(getattr(ours, name), args) == outcome(getattr(theirs, name), args)


@settings(max_examples=30, deadline=None)
@given(steps=st.lists(STEPS, max_size=12))
def test_awaited_it_does_the_same(steps: list[Any]) -> None:
    theirs = InMemory("compared", {})
    theirs.clear()

    async def run() -> list[Any]:
        ours, found = backend(), []
        await ours.aclear()
        for name, args in steps:
            try:
                found.append(await getattr(ours, f"a{name}")(*args))
            except ValueError:
                found.append(ValueError)
        return found

    assert asyncio.run(run()) == [outcome(getattr(theirs, name), args) for name, args in steps]


def test_it_works_where_a_coroutine_is_called_from_a_thread() -> None:
    async_to_sync(backend().aset)("key", [1])
    assert backend().get("key") == [1]


def test_it_is_found_by_its_name() -> None:
    with override_settings(CACHES={"default": {"BACKEND": "cacheops_django.backend.CacheBackend"}}):
        caches["default"].set("key", "value", timeout=60)
        assert caches["default"].get("key") == "value"


@pytest.mark.parametrize("timeout, lives", [(None, -1), (60, 60)], ids=["for ever", "a minute"])
def test_a_value_lives_as_long_as_it_should(cache_server: Server, timeout: Any, lives: int) -> None:
    backend().set("key", "value", timeout)
    with cache_server.client() as client:
        assert [client.ttl(name) for name in client.scan_iter("*django:*")] == [lives]


def test_locations_and_versions_and_prefixes_are_apart() -> None:
    backend("one").set("key", 1)
    backend("two").set("key", 2)
    backend("one").set("key", 3, version=2)
    assert (backend("one").get("key"), backend("two").get("key")) == (1, 2)
    assert backend("one").get("key", version=2) == 3
    assert backend("one", KEY_PREFIX="other").get("key") is None
    with override_settings(CACHEOPS_PREFIX="elsewhere:"):
        assert backend("one").get("key") is None


def test_each_clears_only_its_own() -> None:
    backend("one").set("key", 1)
    backend("two").set("key", 2)
    simple_cache.set("key", 3)
    backend("one").clear()
    assert (backend("one").get("key"), backend("two").get("key"), simple_cache.get("key")) == (None, 2, 3)
    simple_cache.invalidate_all()
    assert backend("two").get("key") == 2


def test_counting_keeps_the_end_of_a_number(cache_server: Server) -> None:
    backend().set("hits", 1, timeout=60)
    assert (backend().incr("hits"), backend().decr("hits", 5)) == (2, -3)
    with cache_server.client() as client:
        assert 0 < client.ttl(next(client.scan_iter("*django:*"))) <= 60
    with pytest.raises(ValueError, match="set it to one first"):
        backend().incr("misses")


def test_a_server_that_is_away_is_an_empty_cache() -> None:
    with override_settings(
        CACHEOPS_REDIS="redis://127.0.0.1:1/", CACHEOPS_CLUSTER=None, CACHEOPS_DEGRADE_ON_FAILURE=True
    ):
        backend().set("key", 1)
        assert (backend().get("key"), backend().add("key", 1), backend().delete("key")) == (
            None,
            False,
            False,
        )
