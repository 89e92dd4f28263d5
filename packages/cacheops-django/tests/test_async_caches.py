"""What is in the cache comes to coroutines without a thread, and what a transaction has written does not."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pages
import pytest
from asgiref.sync import async_to_sync, sync_to_async
from closing import close
from django.db import connection, transaction
from django.http import HttpRequest
from django.test import RequestFactory, override_settings
from django.utils.functional import SimpleLazyObject
from redis.backoff import NoBackoff
from redis.retry import Retry
from testapp.models import Author, Tag

from cacheops_core.testing import Server, start_server
from cacheops_django import async_caches, caches, results
from cacheops_django.clients import make_async_client
from cacheops_django.connections import Connection
from cacheops_django.functions import cached, cached_as
from cacheops_django.signals import cache_read

pytestmark = pytest.mark.django_db(transaction=True)

calls: list[Any] = []


@pytest.fixture(autouse=True)
def _no_calls(db: None) -> None:
    calls.clear()


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was sent to a thread."""
    sent: list[str] = []

    def noting(function: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
        sent.append(function.__name__)
        return sync_to_async(function)

    monkeypatch.setattr(results, "sync_to_async", noting)
    return sent


@cached_as(Tag)
async def names() -> list[str]:
    calls.append("names")
    return [tag.name async for tag in Tag.objects.nocache()]


@cached(timeout=60)
async def shown(value: Any) -> str:
    calls.append("shown")
    return "shown"


def run(main: Callable[[], Awaitable[Any]]) -> Any:
    """Run a coroutine on a loop of its own, and close the connection of the thread that Django used for it."""

    async def closing() -> Any:
        try:
            return await main()
        finally:
            await sync_to_async(close)()

    return asyncio.run(closing())


def test_a_hit_takes_no_thread(threads: list[str]) -> None:
    async def main() -> None:
        assert await names() == []
        assert threads == ["ask", "is_shared", "keep"]
        # A client of a cluster learns with its first answer which servers it speaks with.
        await names()
        threads.clear()
        assert [await names() for _ in range(3)] == [[], [], []]

    run(main)
    assert (threads, calls) == ([], ["names"])


def test_a_write_is_seen_at_once(threads: list[str]) -> None:
    async def main() -> list[Any]:
        await names()
        await Tag.objects.acreate(name="new")
        return [await names(), await names()]

    assert run(main) == [["new"], ["new"]]
    assert len(calls) == 2


def test_what_an_open_transaction_has_written_is_asked_in_its_thread() -> None:
    async def main() -> None:
        await names()
        await sync_to_async(begin)()
        await Tag.objects.acreate(name="mine")
        assert await names() == ["mine"]
        assert async_caches.is_written(["testapp_tag"])
        await sync_to_async(transaction.rollback)()
        await sync_to_async(end)()
        assert not async_caches.is_written(["testapp_tag"])
        assert await names() == []

    run(main)
    assert len(calls) == 2


def begin() -> None:
    connection.set_autocommit(False)


def end() -> None:
    connection.set_autocommit(True)


def test_the_transaction_of_another_thread_sends_nobody_a_stale_answer(threads: list[str]) -> None:
    wrote, go_on = threading.Event(), threading.Event()

    def write() -> None:
        with transaction.atomic():
            Author.objects.create(name="somebody")
            wrote.set()
            go_on.wait(10)
        close()

    async def main() -> None:
        await names()
        other = threading.Thread(target=write)
        other.start()
        assert await asyncio.to_thread(wrote.wait, 10)
        threads.clear()
        assert await names() == []
        assert (async_caches.is_written(["testapp_author"]), threads) == (True, [])
        go_on.set()
        await asyncio.to_thread(other.join)

    run(main)
    assert not async_caches.is_written(["testapp_author"])


def test_under_a_thread_that_waits_the_thread_is_asked(threads: list[str]) -> None:
    for _ in range(2):
        assert async_to_sync(names)() == []
    assert (threads, calls) == (["ask", "is_shared", "keep", "ask"], ["names"])


def test_tasks_share_a_connection_and_it_is_closed_with_its_loop(cache_server: Server) -> None:
    async def main() -> int:
        await names()
        await asyncio.gather(*(names() for _ in range(5)))
        return len(async_caches._of_loops)

    assert run(main) == 1
    gc.collect()
    assert len(async_caches._of_loops) == 0


def test_other_settings_have_another_cache() -> None:
    async def main() -> None:
        await names()
        await names()
        with override_settings(CACHEOPS_PREFIX="elsewhere:"):
            await names()
            await names()

    run(main)
    assert calls == ["names", "names"]


def test_a_client_of_the_projects_own_is_asked_in_a_thread(threads: list[str]) -> None:
    client = caches.current().driver.client

    async def main() -> None:
        await names()
        await names()

    own = f"{type(client).__module__}.{type(client).__name__}"
    with override_settings(CACHEOPS_CLIENT_CLASS=own):
        run(main)
    assert (threads[3:], calls) == (["ask"], ["names"])


def test_a_server_that_is_told_by_arguments_is_asked_without_a_thread(threads: list[str]) -> None:
    async def main() -> None:
        await names()
        threads.clear()
        await names()

    with (
        start_server() as server,
        override_settings(CACHEOPS_REDIS={"port": server.port}, CACHEOPS_CLUSTER=None),
    ):
        run(main)
    assert (threads, calls) == ([], ["names"])


@pytest.mark.parametrize(
    "arguments", [{"retry": Retry(NoBackoff(), 1)}, {"wrong": 1}], ids=["of another kind", "wrong"]
)
def test_arguments_that_are_not_for_asyncio_are_left_to_threads(arguments: dict[str, Any]) -> None:
    assert make_async_client(Connection(arguments=arguments)) is None


def test_an_argument_that_asks_the_database_is_asked_in_a_thread() -> None:
    async def main() -> None:
        tag = await Tag.objects.acreate(name="a")
        for _ in range(2):
            await shown(SimpleLazyObject(lambda: Tag.objects.nocache().get(pk=tag.pk)))

    run(main)
    assert calls == ["shown"]


def test_what_could_not_be_invalidated_is_owed_by_both() -> None:
    async def main() -> None:
        cache = caches.current()
        twin = await async_caches.twin(cache)
        assert twin is not None
        assert (twin._owed, twin.serializer) == (cache._owed, cache.serializer)
        assert twin.circuit is cache.circuit
        assert await async_caches.twin(cache) is twin

    run(main)


def test_each_look_is_told(threads: list[str]) -> None:
    seen: list[Any] = []

    def note(sender: Any, func: Any, hit: bool, **kwargs: Any) -> None:
        seen.append((func.__name__, hit))

    async def main() -> None:
        await names()
        await names()

    cache_read.connect(note)
    run(main)
    cache_read.disconnect(note)
    assert seen == [("names", False), ("names", True)]


def test_a_page_that_is_known_takes_no_thread(threads: list[str]) -> None:
    pages.forget()

    async def main() -> list[bytes]:
        request: HttpRequest = RequestFactory().get("/atags")
        found = [(await pages.atags(request)).content]
        await pages.atags(request)  # of a cluster, this is the first answer of each server
        threads.clear()
        return [*found, (await pages.atags(request)).content]

    assert run(main) == [b"atags 1"] * 2
    assert threads == []
