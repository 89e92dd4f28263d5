"""Runs: a server that comes back with older data has nothing that may be served."""

import asyncio
import logging
from contextlib import contextmanager

import pytest
import redis
import redis.asyncio

from cacheops_core import runs, wires
from cacheops_core.cache import Cache
from cacheops_core.cache_async import AsyncCache
from cacheops_core.drivers import SyncDriver
from cacheops_core.flows import Command
from cacheops_core.runs import UNTOLD, run_of
from cacheops_core.testing import start_server, wait_for
from cacheops_core.testing.contract import Awaited
from cacheops_core.testing.plugin import servers_to_test
from cacheops_core.testing.proxies import Proxy

DRINKS = {"product": [{"category": 7}]}
ROW = ("product", {"id": 1, "category": 7})
WHO = Command("MGET", ("k",), tells_run=True)


class Watched(redis.Redis):
    """A client whose commands somebody looks at, so that it is asked the long way."""

    def execute_command(self, *args, **options):
        return super().execute_command(*args, **options)


@contextmanager
def caching(kind, server):
    options = {"host": server.host, "port": server.port}
    if kind == "async":
        with asyncio.Runner() as runner:
            cache = Awaited(AsyncCache(redis.asyncio.Redis(**options)), runner)
            yield cache
            cache.close()
    else:
        cache = Cache(Watched(**options) if kind == "watched" else redis.Redis(**options))
        yield cache
        cache.close()


every_client = pytest.mark.parametrize("kind", ["sync", "async", "watched"])


def answers():
    """Return functions to compute an answer and to change it."""
    version = [0]

    def change():
        version[0] += 1

    return (lambda: version[0]), change


@pytest.fixture(params=servers_to_test())
def server(request):
    # It would wait for seconds whether another replica comes along.
    with start_server(request.param) as server:
        yield server


@every_client
def test_a_server_that_restarts_from_an_old_snapshot_serves_nothing_old(kind, server):
    now, change = answers()
    with caching(kind, server) as cache, server.client() as client:
        cache.get_or_compute("k", DRINKS, now)
        before = client.mget(cache.fetch("k", DRINKS).stamps.keys)
        client.save()
        with cache.writing(ROW):
            change()
        server.restart()
        assert client.mget(cache.stamps_of(DRINKS).keys) == before
        assert [cache.get_or_compute("k", DRINKS, now), now()] == [1, 1]
        assert cache.fetch("k", DRINKS).is_hit


def test_without_runs_it_would(server, monkeypatch):
    for module in ("wires", "clients"):
        monkeypatch.setattr(f"cacheops_core.{module}.run_of", lambda replies: b"same")
    now, change = answers()
    with caching("sync", server) as cache, server.client() as client:
        cache.get_or_compute("k", DRINKS, now)
        client.save()
        with cache.writing(ROW):
            change()
        server.restart()
        assert [cache.get_or_compute("k", DRINKS, now), now()] == [0, 1]


@every_client
def test_a_promoted_replica_that_lacks_the_last_writes_serves_nothing_old(kind, server):
    now, change = answers()
    with (
        start_server(server.binary, replicaof=f"{server.host} {server.port}") as replica,
        replica.client() as other,
    ):
        proxy = Proxy(server)
        with caching(kind, proxy) as cache:
            cache.get_or_compute("k", DRINKS, now)
            wait_for(lambda: other.exists(cache.key_of("k", DRINKS)))
            other.replicaof("NO", "ONE")
            with cache.writing(ROW):
                change()
            proxy.server = replica
            proxy.hang_up()
            assert other.exists(cache.key_of("k", DRINKS))
            assert [cache.get_or_compute("k", DRINKS, now), now()] == [1, 1]
        proxy.close()


def test_a_fence_that_a_failover_loses_is_made_good_by_the_release(server):
    now, change = answers()
    with (
        start_server(server.binary, replicaof=f"{server.host} {server.port}") as replica,
        replica.client() as other,
    ):
        proxy = Proxy(server)
        with caching("sync", proxy) as writer, caching("sync", replica) as reader:
            wait_for(lambda: other.info("replication")["master_link_status"] == "up")
            other.replicaof("NO", "ONE")
            with writer.writing(ROW):
                proxy.server = replica
                proxy.hang_up()
                # Read and stored before the COMMIT, where no fence stands.
                assert reader.get_or_compute("k", DRINKS, now) == 0
                change()
            assert reader.get_or_compute("k", DRINKS, now) == 1
        proxy.close()


def test_what_was_acquired_of_one_server_and_stored_on_another_is_not_served(server):
    with (
        start_server(server.binary, replicaof=f"{server.host} {server.port}") as replica,
        replica.client() as other,
    ):
        proxy = Proxy(server)
        with caching("sync", proxy) as cache:
            lookup = cache.fetch("k", DRINKS)
            wait_for(lambda: other.exists(*lookup.stamps.keys) == 2)
            other.replicaof("NO", "ONE")
            proxy.server = replica
            proxy.hang_up()
            assert cache.fill(lookup, "old")
            assert not cache.fetch("k", DRINKS).is_hit
        proxy.close()


def test_a_server_that_was_replaced_under_an_open_connection_is_found_out(server, monkeypatch):
    monkeypatch.setattr(wires, "REFRESH", 0.0)
    with caching("sync", server) as cache, server.client() as client:
        cache.get_or_compute("k", DRINKS, int)
        assert cache.fetch("k", DRINKS).is_hit
        client.replicaof("127.0.0.1", 1)
        client.replicaof("NO", "ONE")
        assert not cache.fetch("k", DRINKS).is_hit


def test_a_connection_that_was_made_anew_tells_of_its_own_server(server):
    with start_server() as another:
        proxy = Proxy(server)
        with redis.Redis(host=proxy.host, port=proxy.port) as client:
            driver = SyncDriver(client)
            first, _ = driver.execute(WHO)
            assert driver.execute(WHO)[0] == first
            proxy.server = another
            client.connection_pool.disconnect()
            assert driver.execute(WHO)[0] != first
        proxy.close()


def test_hits_do_not_ask_who_answers_each_time(server):
    with caching("sync", server) as cache, server.client() as client:
        cache.get_or_compute("k", DRINKS, int)
        before = client.info("commandstats")["cmdstat_info"]["calls"]
        for _ in range(20):
            assert cache.fetch("k", DRINKS).is_hit
        # Ours are two each time, and one is what we have counted with.
        assert client.info("commandstats")["cmdstat_info"]["calls"] - before < 20


@pytest.mark.parametrize("protocol", [2, 3])
def test_a_run_is_the_same_over_both_protocols(server, protocol):
    with server.client(protocol=protocol) as client, server.client() as other:
        run, found = SyncDriver(client).execute(WHO)
        assert (run, found) == (run_of([other.info("server"), other.info("replication")]), [None])
        assert run != UNTOLD


@every_client
def test_who_may_not_ask_for_the_run_goes_without_and_is_told_once(kind, server, caplog):
    runs._told.clear()
    with server.client() as client:
        client.acl_setuser(
            "default", enabled=True, nopass=True, keys=["*"], categories=["+@all", "-@dangerous"]
        )
    with caplog.at_level(logging.WARNING, "cacheops"), caching(kind, server) as cache:
        cache.get_or_compute("k", DRINKS, int)
        assert cache.fetch("k", DRINKS).is_hit
        assert cache.fetch("j", DRINKS).head.count(UNTOLD) == 1
    assert caplog.text.count("which run") == 1


@pytest.mark.parametrize("replies", [[], [b"run_id:1"], ["", ""], [{}, {"master_replid": "2"}]])
def test_half_an_answer_is_none(replies):
    assert run_of(replies) == UNTOLD


def test_a_server_in_trouble_is_not_one_that_does_not_tell():
    with pytest.raises(redis.ResponseError, match="BUSY"):
        run_of([redis.ResponseError("BUSY Redis is busy"), b""])
