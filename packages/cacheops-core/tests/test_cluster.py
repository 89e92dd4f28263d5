"""The contract over a cluster of three servers, where keys of different tables live on different nodes."""

import asyncio
from contextlib import ExitStack

import pytest
import redis
import redis.asyncio

from cacheops_core.cache import Cache
from cacheops_core.cache_async import AsyncCache
from cacheops_core.testing import count_round_trips, start_cluster, wait_for
from cacheops_core.testing.contract import Awaited, DependentCacheContract, LockContract, SimpleCacheContract


@pytest.fixture(scope="module")
def servers():
    with start_cluster() as servers:
        yield servers


@pytest.fixture
def nodes(servers):
    """Clients of the servers, all of them empty."""
    with ExitStack() as stack:
        clients = [stack.enter_context(server.client()) for server in servers.nodes]
        for client in clients:
            client.flushall()
        yield clients


@pytest.fixture
def port(servers, nodes):
    """The port of one of the servers."""
    return servers.primaries[0].port


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


def test_an_answer_may_depend_on_tables_of_different_nodes(cluster, nodes):
    cache, calls = Cache(cluster), []
    tables = [f"table{number}" for number in range(20)]
    assert len({cluster.get_node_from_key(f"g:{{{table}}}").name for table in tables}) == len(nodes)

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
    assert all(client.dbsize() for client in nodes)
    cache.invalidate_all()
    assert not any(client.dbsize() for client in nodes)


def test_an_async_cache_that_has_just_been_made_drops_everything_too(cluster, nodes, port):
    async def drop():
        cache = AsyncCache(redis.asyncio.RedisCluster(host="127.0.0.1", port=port))
        await cache.invalidate_all()
        await cache.close()

    Cache(cluster).set_many({number: number for number in range(100)})
    asyncio.run(drop())
    assert not any(client.dbsize() for client in nodes)


def test_scripts_are_taught_to_every_node(cluster, nodes):
    cache = Cache(cluster)
    tables = [f"table{number}" for number in range(20)]
    for client in nodes:
        client.script_flush()
    with cache.writing(*tables):
        assert cache.fetch("k", dict.fromkeys(tables, ())).head is None
    assert cache.fetch("k", dict.fromkeys(tables, ())).head


def test_the_nodes_are_asked_for_an_answer_in_one_go_each(cluster):
    cache, tables = Cache(cluster), [f"table{number}" for number in range(20)]
    dependencies = dict.fromkeys(tables, ())
    cache.get_or_compute("k", dependencies, int)
    with count_round_trips(cluster) as trips:
        assert cache.fetch("k", dependencies).is_hit
    assert trips.count == 3
    assert {name for names in trips.sent for name in names} == {"MGET"}


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_table_that_moves_to_another_node_takes_nothing_along_that_may_be_served(
    kind, cluster, nodes, port
):
    version = [1]
    with asyncio.Runner() as runner:
        cache = Cache(cluster)
        if kind == "async":
            client = redis.asyncio.RedisCluster(host="127.0.0.1", port=port)
            cache = Awaited(AsyncCache(client), runner)

        def answer():
            return cache.get_or_compute("k", {"moving": [{"a": 1}]}, lambda: version[0])

        assert [answer(), answer()] == [1, 1]
        target = move(cluster, nodes, "{moving}")
        stamps = cache.stamps_of({"moving": [{"a": 1}]}).keys
        assert target.exists(*stamps) == len(stamps)
        assert not cache.fetch("k", {"moving": [{"a": 1}]}).is_hit
        with cache.writing(("moving", {"a": 1})):
            version[0] = 2
        assert [answer(), answer()] == [2, 2]
        assert cache.fetch("k", {"moving": [{"a": 1}]}).is_hit
        if kind == "async":
            cache.close()


def move(cluster, nodes, tag):
    """Move a slot, and what is in it, to another node."""
    slot, port = cluster.keyslot(tag), cluster.get_node_from_key(tag).port
    by_port = {client.connection_pool.connection_kwargs["port"]: client for client in nodes}
    source = by_port.pop(port)
    target_port, target = next(iter(by_port.items()))
    ids = [client.execute_command("CLUSTER MYID").decode() for client in (source, target)]
    target.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", ids[0])
    source.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", ids[1])
    keys = source.execute_command("CLUSTER GETKEYSINSLOT", slot, 100)
    source.execute_command("MIGRATE", "127.0.0.1", target_port, "", 0, 5000, "KEYS", *keys)
    for client in (target, source):
        client.execute_command("CLUSTER SETSLOT", slot, "NODE", ids[1])
    return target


def test_a_closed_cache_leaves_no_connection_open(servers, nodes):
    cache = Cache(redis.RedisCluster.from_url(servers.url, client_name="closing"))
    cache.set_many({number: number for number in range(100)})
    assert all(connections(client, "closing") for client in nodes)
    cache.close()
    wait_for(lambda: not any(connections(client, "closing") for client in nodes))


def connections(client, name):
    return [each for each in client.client_list() if each["name"] == name]


def test_the_node_that_did_not_answer_is_the_one_that_is_waited_for(servers, cluster):
    with redis.RedisCluster(
        host="127.0.0.1", port=cluster.get_default_node().port, socket_timeout=0.3
    ) as client:
        cache = Cache(client, degrade=True)
        away = client.get_node_from_key("cacheops:g:{product}").port
        cache.fetch("k", "product")
        with next(server for server in servers.primaries if server.port == away).paused():
            cache.invalidate("product")
            began = cache.circuit.mender.seen
            # It has tried once at least, and the other nodes have been there all the time.
            wait_for(lambda: cache.circuit.mender.seen > began)
            assert cache.circuit.is_open
        wait_for(lambda: not cache.circuit.is_open)
        assert not cache.circuit.owes()
        cache.close()
