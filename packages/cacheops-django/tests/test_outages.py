"""The site in every kind of trouble with its server: all of it goes on, or fails before its COMMIT."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from socket import socket
from typing import Any

import pytest
from answers import Ask, answer, is_cached, is_right, keep, uncached
from asgiref.sync import sync_to_async
from closing import close
from django.db import transaction
from django.db.models import Count, Max
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.test import RequestFactory, override_settings
from testapp.models import Category, Post, Tag

from cacheops_core.cache import Cache
from cacheops_core.errors import BackendError
from cacheops_core.testing import Server, free_port, start_server, wait_for
from cacheops_core.testing.proxies import LOSSES, REFUSALS, Passing, Proxy, Silent
from cacheops_django import caches, counters, shared_counters
from cacheops_django.fragments import invalidate_fragment
from cacheops_django.functions import cached, cached_as
from cacheops_django.invalidation import invalidate_all, invalidate_model, invalidate_obj
from cacheops_django.views import cached_view_as

pytestmark = pytest.mark.django_db(transaction=True)

TROUBLES = {**LOSSES, **REFUSALS}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with start_server() as started:
        yield started


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    """What stands between the site and its server, which is empty."""
    with server.client() as client:
        client.flushall()
    proxy = Proxy(server)
    yield proxy
    proxy.close()


def site(host: str, port: int, *, degrade: bool, enabled: bool = True) -> AbstractContextManager[None]:
    return override_settings(
        CACHEOPS_REDIS={"host": host, "port": port, "socket_timeout": 0.3},
        CACHEOPS_CLUSTER=None,
        CACHEOPS_DEGRADE_ON_FAILURE=degrade,
        CACHEOPS_ENABLED=enabled,
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    )


@pytest.fixture
def going_on(proxy: Proxy) -> Iterator[Proxy]:
    with site(proxy.host, proxy.port, degrade=True):
        yield proxy


@pytest.fixture
def failing(proxy: Proxy) -> Iterator[Proxy]:
    with site(proxy.host, proxy.port, degrade=False):
        yield proxy


@pytest.fixture
def tag() -> Tag:
    return Tag.objects.create(name="a")


def names() -> list[str]:
    return sorted(Tag.objects.values_list("name", flat=True))


@cached_view_as(Tag)
def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse(",".join(names()))


FRAGMENT = (
    "{% load cacheops %}{% cached_as tags 60 'outages' %}"
    "{% for tag in tags %}{{ tag.name }}{% endfor %}{% endcached_as %}"
)


def fragment() -> str:
    return str(engines["django"].from_string(FRAGMENT).render({"tags": Tag.objects.order_by("pk")}))


def awaited(ask: Callable[[], Awaitable[Any]]) -> Ask:
    """Return what asks on an event loop of its own."""

    async def asking() -> Any:
        try:
            return await ask()
        finally:
            await sync_to_async(close)()

    return lambda: asyncio.run(asking())


async def rows() -> list[str]:
    return [tag.name async for tag in Tag.objects.order_by("pk")]


READS: dict[str, Ask] = {
    "get": lambda: Tag.objects.get(pk=1),
    "fetch": lambda: list(Tag.objects.order_by("pk")),
    "values": names,
    "count": Tag.objects.count,
    "exists": lambda: Tag.objects.filter(name="b").exists(),
    "aggregate": lambda: Tag.objects.aggregate(Count("pk"), Max("name")),
    "under a lock": lambda: list(Tag.objects.order_by("pk").cache(lock=True)),
    "cached_as": cached_as(Tag)(names),
    "cached": cached(timeout=60)(lambda: list(Post.objects.nocache())),
    "view": lambda: page(RequestFactory().get("/")).content,
    "fragment": fragment,
}

ASYNC_READS: dict[str, Ask] = {
    "aget": awaited(lambda: Tag.objects.aget(pk=1)),
    "acount": awaited(Tag.objects.acount),
    "async for": awaited(rows),
}

WRITES: dict[str, Callable[[Tag], Any]] = {
    "save": lambda tag: Tag(pk=tag.pk, name="b").save(),
    "create": lambda tag: Tag.objects.create(name="c"),
    "bulk_create": lambda tag: Tag.objects.bulk_create([Tag(name="d"), Tag(name="e")]),
    "invalidated_update": lambda tag: Tag.objects.filter(name="d").invalidated_update(name="f"),
    "delete of a row": lambda tag: Tag.objects.filter(name="c").first().delete(),  # type: ignore[union-attr]
    "delete of rows": lambda tag: Tag.objects.filter(name="e").delete(),
    "transaction": lambda tag: in_transaction(),
    "asave": lambda tag: awaited(Tag(pk=tag.pk, name="h").asave)(),
}


def in_transaction() -> None:
    with transaction.atomic():
        Tag.objects.create(name="g")
        Category.objects.create(title="a")


def is_mended() -> bool:
    circuit = caches.current().circuit
    return not circuit.is_open and not circuit.owes()


@pytest.mark.parametrize("kind", TROUBLES)
def test_every_read_and_write_of_the_site_goes_on(going_on: Proxy, tag: Tag, kind: str) -> None:
    for ask in READS.values():
        answer(ask)
    with going_on.trouble(TROUBLES[kind]):
        for written, write in WRITES.items():
            write(tag)
            for asked, ask in READS.items():
                assert answer(ask) == uncached(ask), (written, asked)
        invalidate_obj(tag)
        invalidate_model(Post)
        for asked, ask in ASYNC_READS.items():
            assert answer(ask) == uncached(ask), asked
    wait_for(is_mended)
    for asked, ask in {**READS, **ASYNC_READS}.items():
        assert is_right(ask), asked
        # A busy machine may for once take longer than this site waits.
        wait_for(partial(is_cached, ask))


@pytest.mark.parametrize("kind", TROUBLES)
def test_without_the_setting_nothing_is_committed(failing: Proxy, tag: Tag, kind: str) -> None:
    Tag.objects.bulk_create([Tag(name="c"), Tag(name="d"), Tag(name="e")])
    before = uncached(lambda: list(Tag.objects.order_by("pk")))
    with failing.trouble(TROUBLES[kind]):
        for write in WRITES.values():
            with pytest.raises(BackendError):
                write(tag)
        assert uncached(lambda: list(Tag.objects.order_by("pk"))) == before
    assert uncached(Category.objects.count) == uncached(lambda: 0)


@pytest.mark.parametrize("kind", LOSSES)
def test_what_an_outage_sends_to_the_database_is_counted_as_that(going_on: Proxy, kind: str) -> None:
    counters.reset()
    with going_on.trouble(LOSSES[kind]):
        for ask in (*READS.values(), *ASYNC_READS.values()):
            answer(ask)
        counted = counters.collect()
    asked = {op for _, op, what in counted if what == "bypass:away"}
    assert asked == {"get", "fetch", "count", "exists", "aggregate", "cached_as", "cached"}
    assert sum(number for (_, _, what), number in counted.items() if what == "misses") == 0


def test_what_is_not_enabled_needs_no_server() -> None:
    with site("127.0.0.1", free_port(), degrade=False, enabled=False):
        tag = Tag.objects.create(name="a")
        for write in WRITES.values():
            write(tag)
        for ask in READS.values():
            assert answer(ask) == uncached(ask)
        invalidate_obj(tag)
        invalidate_model(Post)
        invalidate_all()
        invalidate_fragment("outages")


def test_an_outage_costs_the_site_one_time_out(going_on: Proxy, tag: Tag) -> None:
    for ask in READS.values():
        answer(ask)
    before = len(going_on.requests)
    with going_on.trouble(Silent()):
        for write in WRITES.values():
            write(tag)
        for ask in (*READS.values(), *ASYNC_READS.values()):
            answer(ask)
        shared_counters.publish()
        asked = [one for one in going_on.requests[before:] if b"MGET" in one or b"EVAL" in one]
    assert len(asked) == 1


def test_a_page_that_comes_in_an_outage_sends_no_counts(going_on: Proxy, tag: Tag) -> None:
    with going_on.trouble(Silent()):
        answer(READS["count"])
        before = len(going_on.requests)
        assert not shared_counters.publish()
        assert not [one for one in going_on.requests[before:] if b"EVAL" in one]


def test_others_are_told_by_itself_what_was_written(going_on: Proxy, server: Server, tag: Tag) -> None:
    keep(READS["fetch"])
    cache = caches.current()
    with server.client() as client:
        other = Cache(client, prefix=cache.options.prefix)
        other.get_or_compute("k", "testapp_tag", lambda: "old")
        with going_on.trouble(Silent()):
            Tag.objects.create(name="b")
            assert other.get_or_compute("k", "testapp_tag", lambda: "new") == "old"
        wait_for(is_mended)
        assert other.get_or_compute("k", "testapp_tag", lambda: "new") == "new"


def test_caches_of_all_prefixes_and_their_twins_share_the_circuit(going_on: Proxy) -> None:
    assert caches.beside("other").circuit is caches.current().circuit


class Timeless(Passing):
    """Never tells the time."""

    def request(self, client: socket, server: socket, data: bytes) -> None:
        if b"TIME" not in data:
            super().request(client, server, data)


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_a_replica_is_read_when_nobody_can_tell_how_far_it_is_behind(going_on: Proxy) -> None:
    Tag.objects.using("other").create(name="a")
    replicas = override_settings(CACHEOPS_REPLICAS={"other": "default"}, CACHEOPS_REPLICA_LAG=60)
    with replicas, going_on.trouble(Timeless()):
        assert [tag.name for tag in Tag.objects.using("other").all()] == ["a"]
