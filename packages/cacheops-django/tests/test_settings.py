"""Every setting takes effect when a test overrides it, and ends to when the override ends."""

import logging
import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis
from answers import Ask, answer, is_cached, is_right, keep, queries, uncached
from django.db.models import Count, IntegerChoices
from django.test import override_settings
from testapp.models import Author, Category, Post, Tag

from cacheops_core.testing import Server, start_server
from cacheops_django import caches, conf, shared_counters
from cacheops_django.dependencies import dependencies
from cacheops_django.functions import cached, cached_as
from cacheops_django.invalidation import invalidate_all, invalidate_model, invalidate_obj
from cacheops_django.signals import cache_read
from cacheops_django.simple import cache

pytestmark = pytest.mark.django_db(databases=["default", "other"])


def keys(server: Server) -> list[bytes]:
    with server.client() as client:
        return sorted(client.scan_iter())


def conditions(query: Any) -> list[str]:
    """Return the columns that a query is narrowed by."""
    [(_, conjunctions)] = dependencies(query.query, "default").tables
    return [column for conjunction in conjunctions for column, _ in conjunction]


# One by one


def _profiles() -> bool:
    return is_cached_now(lambda: list(Tag.objects.all()))


def is_cached_now(ask: Ask) -> bool:
    answer(ask)
    return is_cached(ask)


class Backwards:
    """A serializer of the project's own."""

    @staticmethod
    def dumps(value: Any) -> bytes:
        return pickle.dumps(value)[::-1]

    @staticmethod
    def loads(payload: bytes) -> Any:
        return pickle.loads(payload[::-1])


IS_CLUSTER = os.environ.get("CACHEOPS_TEST_SERVER") == "cluster"


class OwnClient(redis.RedisCluster if IS_CLUSTER else redis.Redis):  # type: ignore[misc]
    """A client of the project's own."""


def _replica_is_asked_for_what_its_primary_said() -> bool:
    invalidate_all()
    answer(Tag.objects.using("default").count)
    return queries(Tag.objects.using("other").count, "other") == 0


def _young_stamps_are_good_enough() -> bool:
    invalidate_all()
    with override_settings(CACHEOPS_REPLICAS={"other": "default"}):
        answer(Author.objects.using("other").count)
        return queries(Author.objects.using("other").count, "other") == 0


def _counts_are_shared() -> bool:
    Tag.objects.count()
    return shared_counters.publish()


EFFECTS: dict[str, tuple[Any, Callable[[], Any], Any, Any]] = {
    # the setting: its other value, what shows its effect, what is seen without it, what is seen with it
    "CACHEOPS": ({"*.*": {"timeout": 60}}, _profiles, True, False),
    "CACHEOPS_DEFAULTS": (
        {"lock": True},
        lambda: conf.current().profile_for(Tag).lock,  # type: ignore[union-attr]
        False,
        True,
    ),
    "CACHEOPS_ENABLED": (False, _profiles, True, False),
    "CACHEOPS_DEGRADE_ON_FAILURE": (True, lambda: caches.current().options.degrade, False, True),
    "CACHEOPS_CLIENT_CLASS": (
        OwnClient,
        lambda: type(caches.current().driver.client),
        redis.RedisCluster if IS_CLUSTER else redis.Redis,
        OwnClient,
    ),
    "CACHEOPS_PREFIX": ("shop:", lambda: caches.current().options.prefix, "cacheops:", "shop:"),
    "CACHEOPS_SERIALIZER": (
        Backwards,
        lambda: type(caches.current().serializer).__name__,
        "PickleSerializer",
        "Backwards",
    ),
    "CACHEOPS_SKIP_FIELDS": (
        ["IntegerField"],
        lambda: conditions(Post.objects.filter(views=1)),
        ["views"],
        [],
    ),
    "CACHEOPS_LONG_DISJUNCTION": (
        2,
        lambda: len(conditions(Post.objects.filter(pk__in=[1, 2, 3]))),
        3,
        0,
    ),
    "CACHEOPS_REPLICAS": ({"other": "default"}, _replica_is_asked_for_what_its_primary_said, False, True),
    "CACHEOPS_REPLICA_LAG": (0, _young_stamps_are_good_enough, False, True),
    "CACHEOPS_FENCE_LIFETIME": (2, lambda: caches.current().options.fence_lifetime, 30, 2),
    "CACHEOPS_COMPRESSION": ("lz4", lambda: caches.current().options.compression, None, "lz4"),
    "CACHEOPS_COMPRESS_ABOVE": (9, lambda: caches.current().options.compress_above, 1024, 9),
    "CACHEOPS_SIGNING_KEY": (
        "a key of the project",
        lambda: caches.current().options.signing_key is None,
        True,
        False,
    ),
    "CACHEOPS_NEAR_SIZE": (5, lambda: caches.current().options.near_size, 10_000, 5),
    "CACHEOPS_NEAR_BYTES": (500, lambda: caches.current().options.near_bytes, 64 * 2**20, 500),
    "CACHEOPS_NEAR_MAX_AGE": (5, lambda: caches.current().options.near_max_age, 1, 5),
    "CACHEOPS_COUNTERS_EVERY": (60, _counts_are_shared, False, True),
    "FILE_CACHE_DIR": ("/srv/cache", lambda: str(conf.current().file_cache_dir), "None", "/srv/cache"),
    "FILE_CACHE_TIMEOUT": (5, lambda: conf.current().file_cache_timeout, 30 * 86400, 5),
}

ELSEWHERE = {
    "CACHEOPS_REDIS", "CACHEOPS_SENTINEL", "CACHEOPS_CLUSTER",  # need servers
    "CACHEOPS_LRU", "CACHEOPS_INSIDEOUT",  # do nothing
}  # fmt: skip


def test_no_setting_is_left_out() -> None:
    assert set(EFFECTS) | ELSEWHERE == conf.KNOWN


@pytest.mark.parametrize("setting", EFFECTS)
def test_a_setting_takes_effect_and_ends_to(setting: str) -> None:
    other, look, without, with_it = EFFECTS[setting]
    assert look() == without
    with override_settings(**{setting: other}):
        assert look() == with_it
    assert look() == without


def test_another_server_is_asked_and_the_first_one_again_afterwards(cache_server: Server) -> None:
    keep(Tag.objects.count)
    with start_server() as other:
        with override_settings(CACHEOPS_REDIS=other.url, CACHEOPS_CLUSTER=None):
            assert queries(Tag.objects.count) == 1
            assert is_cached(Tag.objects.count)
            assert keys(other)
        assert is_cached(Tag.objects.count)


# CACHEOPS_ENABLED = False


@contextmanager
def disabled() -> Iterator[None]:
    with override_settings(CACHEOPS_ENABLED=False):
        yield


def test_nothing_is_read_and_nothing_is_stored_while_it_is_off(cache_server: Server) -> None:
    calls = []
    with disabled():
        for ask in (
            lambda: list(Tag.objects.all()),
            lambda: list(Tag.objects.cache()),
            Tag.objects.first,
            Tag.objects.count,
            cached_as(Tag)(lambda: calls.append(1) or list(Tag.objects.all())),  # type: ignore[func-returns-value]
            cached(timeout=60)(lambda: calls.append(1) or list(Tag.objects.all())),  # type: ignore[func-returns-value]
        ):
            assert queries(ask) == queries(ask) == 1
    assert len(calls) == 4
    assert keys(cache_server) == []


def test_receivers_are_told_of_no_look_while_it_is_off() -> None:
    heard = []

    def receiver(**kwargs: Any) -> None:
        heard.append(kwargs)

    cache_read.connect(receiver)
    try:
        with disabled():
            list(Tag.objects.all())
    finally:
        cache_read.disconnect(receiver)
    assert heard == []


WRITES: dict[str, Callable[[Tag], Any]] = {
    "save": lambda tag: Tag(pk=tag.pk, name="b").save(),
    "create": lambda tag: Tag.objects.create(name="a"),
    "delete": lambda tag: tag.delete(),
    "bulk_create": lambda tag: Tag.objects.bulk_create([Tag(name="a")]),
    "bulk_update": lambda tag: Tag.objects.bulk_update([Tag(pk=tag.pk, name="b")], ["name"]),
    "delete of many": lambda tag: Tag.objects.all().delete(),
    "invalidated_update": lambda tag: Tag.objects.invalidated_update(name="b"),
    "update_or_create": lambda tag: Tag.objects.update_or_create(pk=tag.pk, defaults={"name": "b"}),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_writes_invalidate_while_it_is_off_so_that_nothing_is_stale_afterwards(
    write: Callable[[Tag], Any],
) -> None:
    # In the original nothing invalidates then, and what was cached before is served when it is on again.
    tag = Tag.objects.create(name="a")
    asks: list[Ask] = [lambda: list(Tag.objects.filter(name="a")), Tag.objects.count, Tag.objects.first]
    for ask in asks:
        keep(ask)
    with disabled():
        write(tag)
    assert all(is_right(ask) for ask in asks)


@pytest.mark.parametrize(
    "drop", [invalidate_obj, lambda tag: invalidate_model(Tag), lambda tag: invalidate_all()]
)
def test_invalidating_by_hand_works_while_it_is_off(drop: Callable[[Tag], Any]) -> None:
    tag = Tag.objects.create(name="a")
    keep(lambda: Tag.objects.get(pk=tag.pk))
    with disabled():
        drop(tag)
    assert queries(lambda: Tag.objects.get(pk=tag.pk)) == 1


def test_saving_stores_nothing_while_it_is_off(cache_server: Server) -> None:
    profile = {"ops": "get", "timeout": 60, "cache_on_save": True}
    with override_settings(CACHEOPS={"testapp.tag": profile}):
        with disabled():
            assert queries(lambda: Tag.objects.create(name="a")) == 1
        tag = Tag.objects.create(name="a")
        assert queries(lambda: Tag.objects.get(pk=tag.pk)) == 0


def test_the_simple_cache_works_while_it_is_off() -> None:
    with disabled():
        cache.set("key", 1)
        assert cache.get("key") == 1


# CACHEOPS_SERIALIZER


class LikeAModule:
    """The way in which the documentation of django-cacheops fixes a protocol."""

    dumps = lambda value: pickle.dumps(value, 3)  # noqa: E731
    loads = pickle.loads


class WithMethods:
    def dumps(self, value: Any) -> bytes:
        return pickle.dumps(value)

    def loads(self, payload: bytes) -> Any:
        return pickle.loads(payload)


ANSWERS: dict[str, Ask] = {
    "objects": lambda: list(Post.objects.select_related("category").order_by("pk")),
    "one object": lambda: Post.objects.get(title="a"),
    "values": lambda: list(Post.objects.values("title", "created")),
    "tuples": lambda: list(Post.objects.values_list("title", "pk")),
    "named tuples": lambda: list(Post.objects.values_list("title", "pk", named=True)),
    "flat values": lambda: list(Post.objects.values_list("title", flat=True)),
    "a count": Post.objects.count,
    "whether there is one": Post.objects.exists,
    "an aggregate": lambda: Post.objects.aggregate(number=Count("pk")),
}


@pytest.fixture
def post() -> Post:
    return Post.objects.create(title="a", category=Category.objects.create(title="a"))


@pytest.mark.parametrize(
    "serializer", ["pickle", "json", "msgpack", LikeAModule, WithMethods, WithMethods(), Backwards, pickle]
)
@pytest.mark.parametrize("ask", ANSWERS.values(), ids=ANSWERS)
def test_an_answer_is_the_databases_whatever_it_is_kept_as(serializer: Any, ask: Ask, post: Post) -> None:
    with override_settings(CACHEOPS_SERIALIZER=serializer):
        first = answer(ask)
        assert answer(ask) == first == uncached(ask)


@pytest.mark.parametrize("serializer", ["json", "msgpack"])
@pytest.mark.parametrize("ask", list(ANSWERS.values())[3:], ids=list(ANSWERS)[3:])
def test_plain_answers_are_kept_by_every_serializer_that_has_a_name(
    serializer: str, ask: Ask, post: Post
) -> None:
    with override_settings(CACHEOPS_SERIALIZER=serializer):
        assert is_cached_now(ask)


@pytest.mark.parametrize("serializer", ["pickle", "json", "msgpack"])
def test_rows_of_objects_are_kept_if_all_their_values_come_back(serializer: str) -> None:
    with override_settings(CACHEOPS_SERIALIZER=serializer):
        Tag.objects.create(name="a")
        assert is_cached_now(lambda: list(Tag.objects.all()))


@pytest.mark.parametrize("serializer", ["pickle", "json", "msgpack"])
def test_a_tuple_in_a_result_comes_back_as_a_tuple(serializer: str) -> None:
    with override_settings(CACHEOPS_SERIALIZER=serializer):
        sizes = cached_as(Tag, extra=serializer)(lambda: {"all": [(1, ("a",)), ()], 2: (3,)})
        sizes()
        assert sizes.key().get() == {"all": [(1, ("a",)), ()], 2: (3,)}


class Size(IntegerChoices):
    SMALL = 1


@pytest.mark.parametrize("serializer", ["json", "msgpack"])
def test_a_result_that_would_come_back_as_something_else_is_not_kept(
    serializer: str, caplog: pytest.LogCaptureFixture
) -> None:
    with override_settings(CACHEOPS_SERIALIZER=serializer):
        sizes = cached_as(Tag, extra=serializer)(lambda: {"size": Size.SMALL})
        assert [type(sizes()["size"]) for _ in range(3)] == [Size] * 3
    assert len(caplog.messages) == 1
    assert "test_settings.Size would not come back as it is" in caplog.text


def test_entries_of_another_serializer_are_misses(post: Post, caplog: pytest.LogCaptureFixture) -> None:
    keep(Post.objects.count)
    with override_settings(CACHEOPS_SERIALIZER=Backwards), caplog.at_level(logging.WARNING, "cacheops"):
        assert answer(Post.objects.count) == uncached(Post.objects.count)
    assert len(caplog.messages) == 1
