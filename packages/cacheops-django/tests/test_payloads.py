"""Results as bytes: signed and compressed where the settings say so."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from django.test import override_settings
from testapp.models import Tag

from cacheops_core.stamps import FORMAT
from cacheops_django import caches

KEY, NEXT = "a key of the project", "the project's next key"

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> redis.Redis:
    return caches.current().driver.client


@pytest.fixture(autouse=True)
def _signed() -> Iterator[None]:
    with override_settings(CACHEOPS_SIGNING_KEY=KEY):
        yield


def names() -> list[str]:
    return [tag.name for tag in Tag.objects.cache(timeout=60)]


def entries(client: redis.Redis) -> list[bytes]:
    return list(client.scan_iter("*e:*"))


loaded: list[str] = []


def load(what: str) -> list[Any]:
    loaded.append(what)
    return []


class Bomb:
    def __reduce__(self) -> Any:
        return load, ("a pickle of a stranger",)


@pytest.mark.parametrize("key", [None, KEY], ids=["unsigned", "signed"])
def test_only_without_a_key_a_pickle_of_a_stranger_is_loaded(client: redis.Redis, key: str | None) -> None:
    with override_settings(CACHEOPS_SIGNING_KEY=key):
        loaded.clear()
        client.set(caches.current().key_of("k", {}), FORMAT + pickle.dumps(Bomb()))
        caches.current().get("k", None)
        assert loaded == ([] if key else ["a pickle of a stranger"])


def test_signed_results_are_served(django_assert_num_queries: Any) -> None:
    Tag.objects.create(name="red")
    assert names() == ["red"]
    with django_assert_num_queries(0):
        assert names() == ["red"]


def test_a_result_that_a_stranger_has_stored_is_a_miss(
    client: redis.Redis, django_assert_num_queries: Any
) -> None:
    Tag.objects.create(name="red")
    names()
    [entry] = entries(client)
    # Behind the stamps stand the mark and the signature.
    stored = client.get(entry)
    start = stored.index(b"\xc1s")
    client.set(entry, stored[:start] + pickle.dumps(Bomb()))
    with django_assert_num_queries(1):
        assert names() == ["red"]
    # ... or leaves the signature of another payload before it.
    client.set(entry, stored[: start + 18] + pickle.dumps(Bomb()))
    with django_assert_num_queries(1):
        assert names() == ["red"]


def test_keys_are_changed_without_losing_results(django_assert_num_queries: Any) -> None:
    names()
    with override_settings(CACHEOPS_SIGNING_KEY=[NEXT, KEY]), django_assert_num_queries(0):
        names()
    with override_settings(CACHEOPS_SIGNING_KEY=NEXT), django_assert_num_queries(1):
        names()


def test_long_results_are_compressed(client: redis.Redis, django_assert_num_queries: Any) -> None:
    Tag.objects.bulk_create(Tag(name=f"one of many tags {number % 7}") for number in range(100))
    lengths = []
    for algorithm in (None, "lz4"):
        with override_settings(CACHEOPS_COMPRESSION=algorithm, CACHEOPS_COMPRESS_ABOVE=500):
            client.flushall()
            assert len(names()) == 100
            with django_assert_num_queries(0):
                names()
            [entry] = entries(client)
            lengths.append(client.strlen(entry))
    assert lengths[1] < lengths[0] / 2
