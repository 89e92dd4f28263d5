"""The contract over a cluster of three servers, where keys of different tables live on different nodes."""

import asyncio
import threading
from contextlib import ExitStack

import pytest
import redis
import redis.asyncio

from cacheops_core import confirming, wires
from cacheops_core.cache import Cache
from cacheops_core.cache_async import AsyncCache
from cacheops_core.confirming import OtherNodes
from cacheops_core.errors import BackendError
from cacheops_core.flows import Command
from cacheops_core.testing import count_round_trips, start_cluster, wait_for
from cacheops_core.testing.contract import Awaited, DependentCacheContract, LockContract, SimpleCacheContract

DRINKS = {"product": [{"category": 7}]}
REPLACED = "the node did not answer until another one had taken its place"


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


# A node that hangs until another one has taken its place, and then goes on


@pytest.fixture(scope="module")
def replicated():
    with start_cluster(
        replicas=3,
        cluster_node_timeout=1500,
        cluster_require_full_coverage="no",
        cluster_replica_validity_factor=0,
    ) as servers:
        yield servers


def by_id(servers):
    """Return the nodes by their ids."""
    return {asked(server, "CLUSTER", "MYID"): server for server in servers.nodes}


def asked(server, *command):
    with server.client() as client:
        return client.execute_command(*command)


def owner(server, slot):
    """Return the id of the node that has a slot, as another one says."""
    slots = asked(server, "CLUSTER", "SLOTS")
    return next(owners[0][2] for first, last, *owners in slots if first <= slot <= last)


def test_a_node_that_was_replaced_while_it_hung_swallows_no_invalidation(replicated):
    # It answers as soon as it goes on, mostly before it hears from the others that it is a replica now.
    version, told = iter(range(10)), []
    with replicated.client() as client:
        slot = client.keyslot("cacheops:g:{product}")
        nodes, hung = by_id(replicated), owner(replicated.primaries[0], slot)
    other = next(server for server in replicated.primaries if server is not nodes[hung])
    writer = Cache(redis.RedisCluster(host=other.host, port=other.port, socket_timeout=30))

    def write():
        try:
            writer.invalidate("product")
        except BackendError as error:
            told.append(str(error))

    writer.invalidate("product")
    writing = threading.Thread(target=write)
    with nodes[hung].paused():
        writing.start()
        wait_for(lambda: owner(other, slot) != hung)
        reader = Cache(redis.RedisCluster(host=other.host, port=other.port))
        assert reader.get_or_compute("k", DRINKS, lambda: next(version)) == 0
    writing.join()
    # Should it have heard from the others first, it has sent the writer on.
    assert told in ([f"the cache server failed: {REPLACED}"], [])
    wait_for(lambda: not writer.circuit.owes())
    assert reader.get_or_compute("k", DRINKS, lambda: next(version)) == 1
    writer.close()
    reader.close()


@pytest.fixture(params=["sync", "async"])
def any_cache(request, port):
    """A cache that asks for each request anew whether the node is still the one to ask."""
    with asyncio.Runner() as runner:
        if request.param == "async":
            client = redis.asyncio.RedisCluster(host="127.0.0.1", port=port)
            cache = Awaited(AsyncCache(client), runner)
        else:
            cache = Cache(redis.RedisCluster(host="127.0.0.1", port=port))
        yield cache
        cache.close()


def saying(monkeypatch, owner):
    """Let the other nodes say that this one has all slots."""

    def told(*_):
        yield from ()
        return owner

    monkeypatch.setattr(OtherNodes, "_owner", told)


def test_an_answer_is_taken_from_a_node_that_the_others_know(any_cache, monkeypatch):
    monkeypatch.setattr(wires, "REFRESH", 0.0)
    assert any_cache.get_or_compute("k", DRINKS, lambda: 1) == 1
    assert any_cache.get_or_compute("k", DRINKS, lambda: 2) == 1


def test_no_answer_is_taken_from_a_node_in_whose_place_another_one_serves(any_cache, servers, monkeypatch):
    monkeypatch.setattr(wires, "REFRESH", 0.0)
    any_cache.get_or_compute("k", DRINKS, lambda: 1)
    # Of this one the others say that it has the slot, and in it anything is served.
    monkeypatch.setattr(OtherNodes, "_is_served", lambda *_: (yield from iter(())) or True)
    saying(monkeypatch, b"another")
    with pytest.raises(BackendError, match=REPLACED):
        any_cache.fetch("k", DRINKS)


def test_a_node_is_trusted_of_whose_new_slot_the_others_have_not_heard(any_cache, servers, monkeypatch):
    monkeypatch.setattr(wires, "REFRESH", 0.0)
    slot = any_cache.driver.client.keyslot("cacheops:g:{product}")
    any_cache.get_or_compute("k", DRINKS, lambda: 1)
    # What they take for the owner sends all who ask to the one that has answered.
    not_owner = next(id_ for id_ in by_id(servers) if id_ != owner(servers.primaries[0], slot))
    saying(monkeypatch, not_owner)
    assert any_cache.fetch("k", DRINKS).is_hit


def test_nodes_that_do_not_answer_are_passed_over(servers, port, monkeypatch):
    monkeypatch.setattr(wires, "REFRESH", 0.0)
    cache = Cache(redis.RedisCluster(host="127.0.0.1", port=port, socket_timeout=0.3))
    cache.invalidate("product")
    mine = owner(servers.primaries[0], cache.driver.client.keyslot("cacheops:g:{product}"))
    one, other = (server for id_, server in by_id(servers).items() if id_ != mine)
    with one.paused():
        cache.invalidate("product")
        with other.paused(), pytest.raises(BackendError, match="no other node"):
            cache.invalidate("product")
    wait_for(lambda: not cache.circuit.owes())
    cache.close()


def test_a_node_that_has_refused_is_not_taken_for_confirmed(cluster, monkeypatch):
    cache, slots, owner_of = Cache(cluster), [], OtherNodes._owner

    def noting(self, others, slot):
        slots.append(slot)
        return owner_of(self, others, slot)

    def refused():
        yield Command("SET", ("cacheops:g:{product}",))

    monkeypatch.setattr(wires, "REFRESH", 60.0)
    monkeypatch.setattr(OtherNodes, "_owner", noting)
    with pytest.raises(BackendError, match="wrong number"):
        cache.driver.run(refused())
    assert slots == []
    for _ in range(2):
        cache.invalidate("product")
    assert slots == [cluster.keyslot("{product}")]


def test_a_primary_that_is_alone_is_asked_as_it_is(monkeypatch):
    monkeypatch.setattr(wires, "REFRESH", 0.0)
    with start_cluster(primaries=1, replicas=1) as servers, servers.client(socket_timeout=0.3) as client:
        cache = Cache(client)
        with servers.replicas[0].paused():
            assert [cache.get_or_compute("k", DRINKS, iter("ab").__next__) for _ in range(2)] == ["a", "a"]


def test_nodes_that_may_not_be_asked_are_told_of_once(servers, nodes, port, monkeypatch, caplog):
    monkeypatch.setattr(wires, "REFRESH", 0.0)
    confirming._told.clear()
    for client in nodes:
        client.acl_setuser(
            "site", enabled=True, nopass=True, keys="*", channels="*", commands=["+@all", "-cluster|myid"]
        )
    cache = Cache(redis.RedisCluster(host="127.0.0.1", port=port, username="site", password="any"))
    assert [cache.get_or_compute("k", DRINKS, iter("ab").__next__) for _ in range(2)] == ["a", "a"]
    [told] = [one.message for one in caplog.records]
    assert "allow CLUSTER MYID" in told
    cache.close()
    for client in nodes:
        client.acl_deluser("site")
