"""How near caches are told: connections that come, go, fall silent, are inherited or not allowed."""

import asyncio
import gc
import logging
import subprocess
import sys
import threading

import pytest
import redis.asyncio

from cacheops_core import near_subscription, near_writes
from cacheops_core.cache import Cache
from cacheops_core.cache_async import AsyncCache
from cacheops_core.errors import BackendError
from cacheops_core.testing import start_server, wait_for
from cacheops_core.testing.proxies import Passing, Proxy

DRINKS = {"product": [{"category": 7}]}
DRINK = ("product", {"id": 1, "category": 7})


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    monkeypatch.setattr(near_subscription, "TURN", 0.03)


@pytest.fixture
def reader(redis_server, redis_client):
    """A cache in a process of its own, which is told what others write."""
    with redis_server.client(socket_timeout=1, retry=None) as client:
        cache = elsewhere(Cache(client, prefix="p:", near_max_age=50))
        read(cache)
        wait_for(lambda: cache.near.is_open)
        yield cache
        cache.close()


@pytest.fixture
def writer(reader, redis_client):
    return Cache(redis_client, prefix="p:")


def elsewhere(cache):
    near_writes._of_prefix[cache.options.prefix] = ()
    return cache


def read(cache, answer="old"):
    return cache.get_or_compute("k", DRINKS, lambda: answer, near=True)


def listeners():
    return [thread for thread in threading.enumerate() if thread.name == "cacheops-near"]


def kill(client):
    return client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")


# Being told


def test_what_another_process_writes_is_heard(reader, writer):
    read(reader)
    assert len(reader.near) == 1
    with writer.writing(DRINK):
        wait_for(lambda: len(reader.near) == 0)


def test_whoever_does_not_ask_for_copies_listens_to_nobody(redis_client):
    before = listeners()
    cache = Cache(redis_client)
    cache.get_or_compute("k", DRINKS, int)
    cache.invalidate("product")
    assert set(listeners()) <= set(before)
    assert cache.near.subscription is None


def test_caches_over_one_client_share_a_connection(reader, redis_client):
    other = elsewhere(Cache(reader.driver.client, prefix="ä:"))
    twin = Cache(reader.driver.client, prefix="p:")
    for cache in (other, twin):
        read(cache)
        wait_for(lambda cache=cache: cache.near.is_open)
        read(cache)
    assert reader.near.subscription is other.near.subscription is twin.near.subscription
    assert len([c for c in redis_client.client_list() if int(c["sub"])]) == 1
    Cache(redis_client, prefix="ä:").invalidate("product")
    wait_for(lambda: len(other.near) == 0)
    assert len(twin.near) == 1


# Losing the connection


def test_a_connection_that_was_killed_is_made_again(reader, redis_client, caplog):
    read(reader)
    closed = []
    close = reader.near.close
    reader.near.close = lambda: closed.append(close())
    kill(redis_client)
    wait_for(lambda: closed)
    wait_for(lambda: reader.near.is_open)
    assert len(reader.near) == 0
    assert "Near caches are off" in caplog.text
    read(reader)
    Cache(redis_client, prefix="p:").invalidate(*DRINK)
    wait_for(lambda: len(reader.near) == 0)


def test_while_there_is_no_connection_there_are_no_copies(caplog):
    with start_server() as server, server.client(socket_timeout=1, retry=None) as client:
        cache = Cache(client, degrade=True)
        read(cache)
        wait_for(lambda: cache.near.is_open)
        read(cache)
        server.kill()
        wait_for(lambda: not cache.near.is_open)
        assert read(cache, "new") == "new"
        server.start()
        wait_for(lambda: cache.near.is_open and not cache.circuit.is_open)
        assert [read(cache, "newer"), read(cache, "newest")] == ["newer", "newer"]
        cache.close()
    assert caplog.text.count("Near caches are off") == 1


def test_a_client_that_connects_again_by_itself_is_noticed():
    """Its own patience must not hide that messages were lost."""
    with start_server() as server:
        url = f"redis://127.0.0.1:{server.port}"
        cache = Cache(url)
        read(cache)
        wait_for(lambda: cache.near.is_open)
        kept = read(cache)
        assert kept == "old"
        opened = []
        cache.near.open = lambda: opened.append(len(cache.near._copies))
        with server.client() as client:
            kill(client)
        wait_for(lambda: opened)
        assert opened == [0]
        assert not cache.near.is_open
        cache.close()


class Swallowing(Passing):
    """Lets nothing through from the server."""

    def reply(self, client, data):
        pass


class Muffling(Passing):
    """Lets no message through that tells what has gone."""

    def reply(self, client, data):
        if b"message" not in data:
            super().reply(client, data)


def test_a_server_that_falls_silent_counts_as_gone(redis_server, redis_client):
    proxy = Proxy(redis_server)
    with redis.Redis(host=proxy.host, port=proxy.port, socket_timeout=1, retry=None) as client:
        cache = Cache(client, near_max_age=50)
        read(cache)
        wait_for(lambda: cache.near.is_open)
        read(cache)
        proxy.behaviour = Swallowing()
        wait_for(lambda: not cache.near.is_open)
        assert len(cache.near) == 0
        proxy.hang_up()
        proxy.behaviour = Passing()
        wait_for(lambda: cache.near.is_open)
        cache.close()
    proxy.close()


def test_a_silence_in_which_nothing_happens_is_none(reader, redis_client):
    read(reader)
    pings = redis_client.info("commandstats").get("cmdstat_ping", {"calls": 0})["calls"]
    wait_for(lambda: redis_client.info("commandstats").get("cmdstat_ping", {"calls": 0})["calls"] > pings + 2)
    assert len(reader.near) == 1


def test_messages_that_are_swallowed_cost_no_more_than_an_age(redis_server, redis_client):
    proxy = Proxy(redis_server)
    with redis.Redis(host=proxy.host, port=proxy.port, socket_timeout=1, retry=None) as client:
        cache = elsewhere(Cache(client, near_max_age=0.3))
        read(cache)
        wait_for(lambda: cache.near.is_open)
        proxy.behaviour = Muffling()
        read(cache)
        assert len(cache.near) == 1
        Cache(redis_client).invalidate(*DRINK)
        wait_for(lambda: read(cache, "new") == "new", 5)
        assert cache.near.is_open
        cache.close()
    proxy.close()


def test_who_may_not_listen_has_no_copies_and_who_may_not_tell_writes(redis_server, redis_client, caplog):
    redis_client.acl_setuser(
        "quiet", enabled=True, nopass=True, categories=["+@all"], keys=["*"], reset_channels=True
    )
    with redis_server.client(username="quiet", password="any") as client:
        cache = Cache(client)
        read(cache)
        wait_for(lambda: "Near caches are off" in caplog.text)
        assert not cache.near.is_open
        with cache.writing(DRINK):
            pass
        cache.invalidate_all()
        assert read(cache, "new") == "new"
        cache.close()
    redis_client.acl_deluser("quiet")


def test_a_connection_goes_back_to_its_pool_as_it_was(redis_server, redis_client):
    with redis_server.client() as client:
        cache = Cache(client)
        read(cache)
        wait_for(lambda: cache.near.is_open)
        connection = cache.near.subscription.pubsub.connection
        before = client.connection_pool.connection_kwargs["retry"].get_retries()
        cache.near.subscription.leave(cache.near)
        wait_for(lambda: cache.near.subscription.pubsub is None)
        assert connection.retry.get_retries() == before


# Beginning and ending


def test_a_closed_cache_listens_to_nobody_and_an_open_one_again(reader, redis_client):
    reader.close()
    wait_for(lambda: not any(int(client["sub"]) for client in redis_client.client_list()))
    assert not reader.near.is_open
    read(reader)
    wait_for(lambda: reader.near.is_open)


def test_a_cache_that_is_gone_has_nobody_listen(redis_server, redis_client):
    before = listeners()
    with redis_server.client() as client:
        cache = Cache(client)
        read(cache)
        wait_for(lambda: set(listeners()) - set(before))  # some of those may be about to end
        (thread,) = set(listeners()) - set(before)
        del cache
        gc.collect()
        thread.join(10)
        assert not thread.is_alive()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_listener_that_has_died_is_followed_by_another(reader, monkeypatch):
    thread = reader.near.subscription._thread

    def die(*args):
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(reader.near.subscription, "_hear", die)
        Cache(reader.driver.client, prefix="p:").invalidate("product")
        thread.join(10)
    assert not thread.is_alive()
    assert not reader.near.is_open
    read(reader)
    wait_for(lambda: reader.near.is_open)


PROGRAM = """
import os, sys, threading
from cacheops_core.cache import Cache
from cacheops_core.testing import wait_for

cache = Cache({server!r})
read = lambda answer: cache.get_or_compute("k", {{"product": []}}, lambda: answer, near=True)
read("old")
wait_for(lambda: cache.near.is_open)
read("old")
assert len(cache.near) == 1
{rest}
"""

FORKING = """
import warnings
warnings.simplefilter("ignore")  # from 3.12 on: that there are threads
holding, held = threading.Event(), threading.Event()
def hold():
    with cache.near._lock:
        held.set()
        holding.wait(30)
holder = threading.Thread(target=hold)
holder.start()
held.wait(30)
if child := os.fork():
    holding.set()
    holder.join()
    assert os.waitpid(child, 0)[1] == 0
    wait_for(lambda: read("newer") == "new")  # it has been told what the child wrote
    assert cache.near.is_open
else:
    assert len(cache.near) == 0 and not cache.near.is_open
    cache.invalidate("product")
    assert read("new") == "new"
    wait_for(lambda: cache.near.is_open)
    assert read("newer") == "new" == read("newest")
    sys.stdout.flush()
    os._exit(0)
"""

WRITING = "threading.Thread(target=lambda: [cache.invalidate('product') for _ in range(100)]).start()"

ENDINGS = {
    "with its server": ("embedded://", ""),
    "with its server while it writes": ("embedded://", WRITING),
    "with its cache closed": (None, "cache.close()"),
    "in a child": (None, FORKING),
}


@pytest.mark.parametrize("url, rest", ENDINGS.values(), ids=ENDINGS)
def test_a_program_ends_cleanly(url, rest):
    with start_server() as server:
        program = PROGRAM.format(server=url or server.url, rest=rest)
        command = [sys.executable, "-X", "dev", "-W", "error", "-c", program]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# On an event loop


def listening_tasks():
    return [task for task in asyncio.all_tasks() if "AsyncDriver.run" in repr(task.get_coro())]


async def until(condition):
    while not condition():  # noqa: ASYNC110  # nothing tells
        await asyncio.sleep(0.01)


def aread(cache, answer="old"):
    return cache.get_or_compute("k", DRINKS, lambda: answer, near=True)


def test_an_async_cache_is_told_too(redis_server, redis_client):
    async def main():
        cache = elsewhere(AsyncCache(redis_server.url, near_max_age=50))
        await aread(cache)
        await until(lambda: cache.near.is_open)
        await aread(cache)
        assert len(cache.near) == 1
        await asyncio.to_thread(Cache(redis_client).invalidate, *DRINK)
        await until(lambda: len(cache.near) == 0)
        assert await aread(cache, "new") == "new" == await aread(cache, "newer")
        await asyncio.to_thread(kill, redis_client)
        await until(lambda: not len(cache.near))
        await until(lambda: cache.near.is_open)
        await cache.close()
        assert not cache.near.is_open
        assert listening_tasks() == []

    asyncio.run(main(), debug=True)


def test_a_loop_may_end_with_a_listener(redis_server, redis_client, caplog):
    async def main():
        client = redis.asyncio.Redis.from_url(redis_server.url)
        cache = AsyncCache(client)
        await aread(cache)
        await until(lambda: cache.near.is_open)
        assert listening_tasks()
        await client.aclose()  # and not the cache

    asyncio.run(main())
    gc.collect()
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_an_own_write_of_the_other_kind_of_cache_is_seen(redis_server, redis_client):
    async def main():
        cache = AsyncCache(redis_server.url, near_max_age=50)
        await aread(cache)
        await until(lambda: cache.near.is_open)
        cache.near.hear = None  # nobody tells it
        await aread(cache)
        with Cache(redis_client).writing(DRINK):
            pass
        assert len(cache.near) == 0
        await cache.close()

    asyncio.run(main())


def test_an_async_cache_can_share_the_copies_of_a_sync_one(reader, redis_server):
    async def main():
        cache = AsyncCache(redis_server.url, prefix="p:", near=reader.near)
        read(reader)
        assert await aread(cache, "new") == "old"
        await cache.close()
        assert reader.near.is_open

    asyncio.run(main())


@pytest.mark.parametrize("wrong", [0, -1, None, "1", True], ids=repr)
def test_the_age_of_copies_has_an_end(wrong):
    with pytest.raises(Exception, match="near_max_age"):
        Cache("redis://localhost", near_max_age=wrong)


def test_no_server_no_copies():
    cache = Cache("redis://127.0.0.1:1")
    with pytest.raises(BackendError):
        read(cache)
    cache.close()
