"""The site while the cache's server is away: it goes on from the database, and nothing is stale when it is back."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from answers import Ask, answer, is_right, keep, queries, uncached
from django.db import transaction
from django.test import override_settings
from testapp.models import Category, Post, Tag

from cacheops_core.errors import BackendError, CacheMiss
from cacheops_core.testing import Server, start_server
from cacheops_django.functions import cached, cached_as
from cacheops_django.invalidation import invalidate_model, invalidate_obj
from cacheops_django.simple import cache

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of the test's own, which it may kill."""
    with start_server() as started:
        yield started


def at(server: Server, timeout: float = 0.5) -> dict[str, Any]:
    """Return the settings that say where a server is, which is not waited for as long as by default."""
    place = {"host": server.host, "port": server.port, "socket_timeout": timeout}
    return {"CACHEOPS_REDIS": place, "CACHEOPS_CLUSTER": None}


@pytest.fixture(params=["redis.Redis", "valkey.Valkey"])
def going_on(request: pytest.FixtureRequest, server: Server) -> Iterator[Server]:
    """The settings of a site that goes on without its server, with either library's client."""
    with override_settings(
        **at(server), CACHEOPS_CLIENT_CLASS=request.param, CACHEOPS_DEGRADE_ON_FAILURE=True
    ):
        yield server


@pytest.fixture
def impatient(going_on: Server) -> Iterator[Server]:
    """The same, for what need not be cached: a busy machine may have the server answer too late."""
    with override_settings(**at(going_on, 0.1)):
        yield going_on


@pytest.fixture(params=["redis.Redis", "valkey.Valkey"])
def failing(request: pytest.FixtureRequest, server: Server) -> Iterator[Server]:
    """The settings of a site that would rather fail."""
    with override_settings(**at(server), CACHEOPS_CLIENT_CLASS=request.param):
        yield server


@pytest.fixture
def tag() -> Tag:
    return Tag.objects.create(name="a")


ASKS: dict[str, Ask] = {
    "a get": lambda: Tag.objects.get(pk=1),
    "a list": lambda: list(Tag.objects.filter(name="a")),
    "a count": Tag.objects.count,
    "a list under a lock": lambda: list(Tag.objects.cache(lock=True)),
    "a function": cached_as(Tag)(lambda: list(Tag.objects.nocache())),
    "a function for a time": cached(timeout=60)(lambda: list(Post.objects.nocache())),
}

WRITES: dict[str, Callable[[Tag], Any]] = {
    "a save": lambda tag: Tag(pk=tag.pk, name="b").save(),
    "a create": lambda tag: Tag.objects.create(name="a"),
    "a delete": lambda tag: Tag(pk=tag.pk).delete(),
    "many": lambda tag: Tag.objects.bulk_create([Tag(name="a"), Tag(name="b")]),
    "an update": lambda tag: Tag.objects.invalidated_update(name="b"),
}


def in_transaction(write: Callable[[Tag], Any]) -> Callable[[Tag], Any]:
    def wrapped(tag: Tag) -> None:
        with transaction.atomic():
            write(tag)
            Category.objects.create(title="a")

    return wrapped


WRITES |= {f"{name} in a transaction": in_transaction(write) for name, write in WRITES.items()}


def test_reads_go_on_from_the_database(going_on: Server, tag: Tag) -> None:
    for ask in ASKS.values():
        answer(ask)
    going_on.kill()
    for name, ask in ASKS.items():
        assert answer(ask) == uncached(ask), name
        assert queries(ask) == 1, name


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_what_was_written_meanwhile_is_not_stale_when_the_server_is_back(
    impatient: Server, tag: Tag, write: Callable[[Tag], Any]
) -> None:
    # The server is paused, not killed: it comes back with all that it had. What was sent to it meanwhile comes late:
    # a fence then stands until it expires, and until then nothing is stored behind it.
    asks = [ask for name, ask in ASKS.items() if name != "a function for a time"]
    for ask in asks:
        answer(ask)
    with impatient.paused():
        write(tag)
    for ask in asks:
        assert is_right(ask)
        assert is_right(ask)


def test_what_could_not_be_sent_is_sent_before_the_cache_is_trusted_again(going_on: Server, tag: Tag) -> None:
    keep(lambda: Tag.objects.get(pk=tag.pk))
    with going_on.paused():
        invalidate_obj(tag)
        invalidate_model(Post)
    assert queries(lambda: Tag.objects.get(pk=tag.pk)) == 1


def test_the_simple_cache_holds_nothing_while_the_server_is_away(going_on: Server) -> None:
    cache.set("key", 1)
    going_on.kill()
    with pytest.raises(CacheMiss):
        cache.get("key")
    cache.set("key", 2)
    assert cache.get("key", 3) == 3
    cache.delete("key")


def test_the_failure_is_logged(going_on: Server, tag: Tag, caplog: pytest.LogCaptureFixture) -> None:
    going_on.kill()
    with caplog.at_level(logging.WARNING, "cacheops"):
        Tag.objects.count()
    assert any("going on without the cache" in message for message in caplog.messages)


def test_without_the_setting_a_read_fails(failing: Server, tag: Tag) -> None:
    failing.kill()
    with pytest.raises(BackendError):
        Tag.objects.count()


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_without_the_setting_a_write_fails_before_anything_is_done(
    failing: Server, tag: Tag, write: Callable[[Tag], Any]
) -> None:
    answer(ASKS["a list"])
    before = uncached(lambda: list(Tag.objects.order_by("pk")))
    failing.kill()
    with pytest.raises(BackendError):
        write(tag)
    assert uncached(lambda: list(Tag.objects.order_by("pk"))) == before
    assert uncached(Category.objects.count) == uncached(lambda: 0)


def test_a_server_that_comes_back_empty_is_filled_again(going_on: Server, tag: Tag) -> None:
    keep(lambda: Tag.objects.get(pk=tag.pk))
    going_on.restart()
    assert is_right(lambda: Tag.objects.get(pk=tag.pk))
    keep(lambda: Tag.objects.get(pk=tag.pk))
