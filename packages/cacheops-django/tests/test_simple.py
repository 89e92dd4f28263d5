"""The project's simple cache: the words of the core, for the cache that the settings name."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import transaction
from django.test import override_settings
from testapp.models import Tag

from cacheops_core.errors import CacheMiss
from cacheops_core.testing import Server
from cacheops_django.functions import cached_as
from cacheops_django.simple import cache

pytestmark = pytest.mark.usefixtures("db")


def test_a_value_is_there_until_it_is_deleted() -> None:
    with pytest.raises(CacheMiss):
        cache.get("key")
    cache.set("key", {"a": 1})
    assert cache.get("key") == {"a": 1}
    assert (cache.delete("key"), cache.delete("key")) == (True, False)
    assert cache.get("key", None) is None


@pytest.mark.parametrize("timeout, lives", [(None, -1), (60, 60), (timedelta(seconds=60), 60)], ids=str)
def test_a_value_lives_for_its_timeout_and_without_one_for_ever(
    cache_server: Server, timeout: Any, lives: int
) -> None:
    cache.set("key", "value", timeout=timeout)
    with cache_server.client() as client:
        [name] = client.scan_iter()
        assert client.ttl(name) == lives


def test_many_values_go_together() -> None:
    cache.set_many({"a": 1, "b": 2}, timeout=60)
    assert cache.get_many(["a", "b", "c"]) == {"a": 1, "b": 2}


def test_numbers_are_counted_and_values_added_once() -> None:
    assert [cache.incr("hits"), cache.incr("hits", 5), cache.get("hits")] == [1, 6, 6]
    assert [cache.add("first", 1), cache.add("first", 2), cache.get("first")] == [True, False, 1]
    assert [cache.touch("first", 60), cache.touch("nothing")] == [True, False]


def test_one_holds_a_lock_at_a_time() -> None:
    with cache.lock("job"):
        pass
    with cache.lock("job", timeout=5):
        assert cache.get("nothing", 0) == 0


@pytest.mark.django_db(transaction=True)
def test_a_transaction_makes_no_difference() -> None:
    with transaction.atomic():
        Tag.objects.create(name="mine")
        cache.set("key", "value")
        transaction.set_rollback(True)
    assert cache.get("key") == "value"


def test_all_goes_at_once_but_nothing_that_is_not_ours(cache_server: Server) -> None:
    cached_as(Tag)(double)(1)
    cache.set("key", "value")
    with cache_server.client() as client:
        client.set("of another", "program")
        cache.invalidate_all()
        assert list(client.scan_iter()) == [b"of another"]


def test_it_is_the_cache_of_the_settings_at_the_moment() -> None:
    cache.set("key", "here")
    with override_settings(CACHEOPS_PREFIX="elsewhere:"):
        assert cache.get("key", None) is None


def test_functions_and_views_can_be_decorated_by_it() -> None:
    doubled = cache.cached(timeout=60)(double)
    assert (doubled(2), doubled(2)) == (4, 4)
    assert doubled.key(2).get() == 4
    assert cache.cached_view(timeout=60)(double).__name__ == "double"


def double(number: int) -> int:
    return number * 2


def test_coroutines_can_await_it() -> None:
    async def main() -> list[Any]:
        await cache.aset("key", "value", 60)
        return [await cache.aget("key"), await cache.adelete("key"), await cache.aget("key", None)]

    assert async_to_sync(main)() == ["value", True, None]
