"""A project whose sentinels name its server: found when it starts, and found again when it is another one."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis
import redis.asyncio
import redis.asyncio.sentinel
import redis.sentinel
from processes import Actor
from project.shop import actions
from sentinels import SERVICE, findings_about_sentinels, primary_of, sentinel, use_sentinel

from cacheops_core import wires
from cacheops_core.cache import Cache
from cacheops_core.cache_async import AsyncCache
from cacheops_core.testing import Server, free_port, start_server, wait_for
from cacheops_core.testing.contract import Awaited

pytestmark = pytest.mark.one_database

Start = Callable[[], Actor]


@pytest.fixture
def process(actor: Start) -> Iterator[Actor]:
    started = actor()
    yield started
    # Its settings are not those of the other tests any more.
    started.kill()


@pytest.fixture
def primary() -> Iterator[Server]:
    with start_server() as server:
        yield server


@pytest.fixture
def replica(primary: Server) -> Iterator[Server]:
    with start_server(replicaof=f"127.0.0.1 {primary.port}") as server:
        with server.client() as client:
            wait_for(lambda: client.info("replication")["master_link_status"] == "up")
        yield server


def keys(server: Server) -> int:
    with server.client() as client:
        return int(client.dbsize())


def test_the_server_that_the_sentinel_names_is_used(process: Actor, primary: Server):
    with sentinel(primary) as port:
        process.do(use_sentinel, port)
        (here, there, _), (pk, *_) = process.do(actions.make_shop)
        assert not process.do(actions.read, "list", here, pk).is_hit
        assert process.do(actions.read, "list", here, pk).is_hit
        assert keys(primary) > 0
        process.do(actions.move, pk, there)
        assert process.do(actions.read, "list", here, pk).value == process.do(actions.truth, "list", here, pk)


def test_the_server_that_the_sentinel_names_is_asked_by_coroutines(process: Actor, primary: Server):
    with sentinel(primary) as port:
        process.do(use_sentinel, port)
        _, (pk, *_) = process.do(actions.make_shop)
        assert process.do(actions.read_on_event_loop, pk) == [False, True]


def test_another_server_takes_over(process: Actor, primary: Server, replica: Server):
    with sentinel(primary) as port:
        process.do(use_sentinel, port)
        (here, there, _), (pk, *_) = process.do(actions.make_shop)
        process.do(actions.read_all, [here, there], pk)
        primary.kill()
        process.do(actions.move, pk, there)
        wait_for(lambda: primary_of(port) == replica.port)
        wait_for(lambda: process.do(actions.read, "list", there, pk).is_hit)
        assert process.do(actions.read_all, [here, there], pk) == process.do(
            actions.all_truth, [here, there], pk
        )


def test_the_doctor_looks_at_the_sentinels(process: Actor, primary: Server):
    with sentinel(primary, patience=1500) as patient, sentinel(primary, patience=800) as hasty:
        process.do(use_sentinel, patient, hasty, free_port())
        fine, too_soon, away = process.do(findings_about_sentinels)
    assert fine == ("ok", f"Sentinel 1 knows {SERVICE}.")
    assert too_soon == (
        "warning",
        "Sentinel 2 takes a server for dead that has not answered for 800 ms.",
    )
    assert away[0] == "warning"
    assert away[1].startswith("Sentinel 3 does not answer: ")


# A primary whose place another one has taken, and that has not been told


DRINKS = {"product": [{"category": 7}]}
A_DRINK = ("product", {"id": 1, "category": 7})


@contextmanager
def caching(kind: str, port: int, **options: Any) -> Iterator[Any]:
    """Yield a cache whose server a sentinel names."""
    where = [("127.0.0.1", port)]
    if kind == "async":
        with asyncio.Runner() as runner:
            asynchronous: Any = redis.asyncio.sentinel.Sentinel(where, **options)
            cache = Awaited(AsyncCache(asynchronous.master_for(SERVICE)), runner)
            yield cache
            cache.close()
            runner.run(asynchronous.sentinels[0].aclose())
    else:
        manager = redis.sentinel.Sentinel(where, **options)
        cache = Cache(manager.master_for(SERVICE))
        yield cache
        cache.close()
        manager.sentinels[0].close()


def put_in_its_place(replica: Server, port: int) -> None:
    """Make a replica the primary and tell the sentinel, but not the primary that there was."""
    with replica.client() as client, redis.Redis(port=port) as asked:
        client.replicaof("NO", "ONE")
        asked.sentinel_remove(SERVICE)
        asked.sentinel_monitor(SERVICE, "127.0.0.1", replica.port, 1)
    wait_for(lambda: primary_of(port) == replica.port)


both = pytest.mark.parametrize("kind", ["sync", "async"])


@both
def test_who_writes_by_way_of_a_primary_that_was_replaced_tells_the_new_one(
    primary: Server, replica: Server, kind: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(wires, "REFRESH", 0.0)
    version = iter(range(10))
    with sentinel(primary) as port, caching(kind, port) as writer:
        writer.invalidate("product")
        put_in_its_place(replica, port)
        monkeypatch.setattr(wires, "REFRESH", 60.0)
        with caching(kind, port) as reader:
            assert reader.get_or_compute("k", DRINKS, lambda: next(version)) == 0
            with writer.writing(A_DRINK):
                assert not reader.fetch("k", DRINKS).is_hit
            assert reader.get_or_compute("k", DRINKS, lambda: next(version)) == 1


@both
def test_who_reads_by_way_of_a_primary_that_was_replaced_is_not_served(
    primary: Server, replica: Server, kind: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(wires, "REFRESH", 0.0)
    with sentinel(primary) as port, caching(kind, port) as reader:
        reader.get_or_compute("k", DRINKS, lambda: "old")
        assert reader.fetch("k", DRINKS).is_hit
        put_in_its_place(replica, port)
        monkeypatch.setattr(wires, "REFRESH", 60.0)
        with caching(kind, port) as writer, writer.writing(A_DRINK):
            pass
        assert reader.get_or_compute("k", DRINKS, lambda: "new") == "new"
    with redis.Redis(port=replica.port) as client:
        assert client.dbsize() > 0


def test_an_answer_that_comes_when_another_may_be_the_primary_is_not_taken_for_one(
    primary: Server, replica: Server, monkeypatch: pytest.MonkeyPatch
):
    # The story of the primary that hangs: it is asked, hangs, is replaced, and then answers.
    monkeypatch.setattr(wires, "REFRESH", 0.3)
    version = iter(range(10))
    with sentinel(primary) as port, caching("sync", port, socket_timeout=30.0) as writer:
        writer.invalidate("product")
        writing = threading.Thread(target=writer.invalidate, args=("product",))
        with primary.paused():
            writing.start()
            put_in_its_place(replica, port)
            with caching("sync", port) as reader:
                assert reader.get_or_compute("k", DRINKS, lambda: next(version)) == 0
            until = time.monotonic() + wires.REFRESH
            wait_for(lambda: time.monotonic() > until)
        writing.join()
        with caching("sync", port) as reader:
            assert reader.get_or_compute("k", DRINKS, lambda: next(version)) == 1
