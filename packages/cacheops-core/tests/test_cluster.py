"""The contract over a cluster of three servers, where keys of different tables live on different nodes."""

import asyncio
import socket
import time
from contextlib import ExitStack

import pytest
import redis
import redis.asyncio

from cacheops_core.cache import Cache
from cacheops_core.cache_async import AsyncCache
from cacheops_core.testing import start_server
from cacheops_core.testing.contract import Awaited, DependentCacheContract, LockContract, SimpleCacheContract

NODES = 3
SLOTS = 16384


@pytest.fixture(scope="module")
def nodes():
    """Three servers that form a cluster."""
    with ExitStack() as stack:
        options = {"cluster_enabled": "yes", "cluster_announce_ip": "127.0.0.1"}
        buses = [free_port() for _ in range(NODES)]
        servers = [stack.enter_context(start_server(**options, cluster_port=bus)) for bus in buses]
        clients = [stack.enter_context(server.client()) for server in servers]
        bounds = [SLOTS * number // NODES for number in range(NODES + 1)]
        for client, first, next_first in zip(clients, bounds, bounds[1:], strict=False):
            client.execute_command("CLUSTER ADDSLOTSRANGE", first, next_first - 1)
        for server, bus in zip(servers[1:], buses[1:], strict=True):
            clients[0].execute_command("CLUSTER MEET", server.host, server.port, bus)
        deadline = time.monotonic() + 20
        while any(client.cluster("info")["cluster_state"] != "ok" for client in clients):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield clients, servers[0].port


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture
def port(nodes):
    """The port of one of the servers, all of them empty."""
    clients, port = nodes
    for client in clients:
        client.flushall()
    return port


@pytest.fixture
def cluster(port):
    client = redis.RedisCluster(host="127.0.0.1", port=port)
    yield client
    client.close()


class TestSync(SimpleCacheContract, DependentCacheContract, LockContract):
    @pytest.fixture
    def cache(self, cluster):
        return Cache(cluster)


class TestAsync(SimpleCacheContract, DependentCacheContract, LockContract):
    @pytest.fixture
    def cache(self, port):
        with asyncio.Runner() as runner:
            cache = AsyncCache(redis.asyncio.RedisCluster(host="127.0.0.1", port=port))
            yield Awaited(cache, runner)
            runner.run(cache.close())

    @pytest.fixture
    def other(self, cluster):
        return Cache(cluster)


def test_an_answer_may_depend_on_tables_of_different_nodes(cluster):
    cache, calls = Cache(cluster), []
    tables = [f"table{number}" for number in range(20)]
    assert len({cluster.get_node_from_key(f"g:{{{table}}}").name for table in tables}) == NODES

    def compute():
        calls.append(1)
        return len(calls)

    for number, table in enumerate(tables):
        answers = [
            cache.get_or_compute("k", {table: [{"a": 1}] for table in tables}, compute) for _ in range(2)
        ]
        assert answers == [number + 1] * 2
        with cache.writing((table, {"a": 1}), ("other", {"b": 2})):
            pass


def test_everything_is_dropped_from_all_nodes(cluster, nodes):
    cache = Cache(cluster)
    cache.set_many({number: number for number in range(100)})
    assert all(client.dbsize() for client in nodes[0])
    cache.invalidate_all()
    assert not any(client.dbsize() for client in nodes[0])


def test_scripts_are_taught_to_every_node(cluster, nodes):
    cache = Cache(cluster)
    tables = [f"table{number}" for number in range(20)]
    for client in nodes[0]:
        client.script_flush()
    with cache.writing(*tables):
        assert cache.fetch("k", dict.fromkeys(tables, ())).head is None
    assert cache.fetch("k", dict.fromkeys(tables, ())).head
