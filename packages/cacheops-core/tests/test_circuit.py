"""The circuit: nobody waits for a server that does not answer, and what is owed to it is sent by itself."""

import asyncio
import gc
import logging
import os
import subprocess
import sys
import threading
import time
import weakref
from contextlib import contextmanager

import pytest
import redis
import redis.asyncio
import redis.cluster
import redis.sentinel
import valkey
import valkey.asyncio

from cacheops_core.cache import Cache
from cacheops_core.cache_async import AsyncCache
from cacheops_core.circuit import NEGLECT, Circuit
from cacheops_core.drivers import failure
from cacheops_core.errors import BackendError
from cacheops_core.flows import Call, Command
from cacheops_core.menders import HASTE, hasty_client
from cacheops_core.options import CacheOptions
from cacheops_core.scripts import RELEASE
from cacheops_core.testing import wait_for
from cacheops_core.testing.proxies import LOSSES, REFUSALS, Proxy, Silent
from cacheops_core.units import Debt

DRINKS = {"product": [{"category": 7}]}
A_DRINK = {"id": 1, "category": 7}

ALL = {**LOSSES, **REFUSALS}


class InThread:
    """Uses a cache as a thread does."""

    def __init__(self, port, **options):
        self.client = redis.Redis(port=port, socket_timeout=0.3, retry=None)
        self.cache = Cache(self.client, **options)

    def do(self, verb, *arguments):
        return getattr(self.cache, verb)(*arguments)

    until = staticmethod(wait_for)

    def close(self):
        self.cache.close()


class InLoop:
    """Uses a cache as tasks on an event loop do."""

    def __init__(self, port, **options):
        self.runner = asyncio.Runner()
        self.client = redis.asyncio.Redis(port=port, socket_timeout=0.3, retry=None)
        self.cache = self.runner.run(self._make(options))

    async def _make(self, options):
        return AsyncCache(self.client, **options)

    def do(self, verb, *arguments):
        return self.runner.run(getattr(self.cache, verb)(*arguments))

    def until(self, condition):
        self.runner.run(until(condition))

    def close(self):
        self.runner.run(self.cache.close())
        self.runner.close()


async def until(condition):
    """Wait for what happens on the loop itself."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - it gives no sign
            await asyncio.sleep(0.01)


@pytest.fixture
def proxy(redis_server, redis_client):
    proxy = Proxy(redis_server)
    yield proxy
    proxy.close()


@pytest.fixture(params=[InThread, InLoop], ids=["thread", "loop"])
def user(request, proxy):
    """Make a user of the cache, whose server is behind the proxy."""
    made = []

    def make(**options):
        made.append(request.param(proxy.port, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def other(redis_client):
    """Another process, whose connection is whole."""
    return Cache(redis_client)


@pytest.fixture
def compute():
    """A function that says how often it was called."""
    calls = []

    def compute():
        calls.append(1)
        return len(calls)

    return compute


def asked(proxy):
    """Return the requests for entries and for scripts, which are not the mender's."""
    return [one for one in proxy.requests if b"MGET" in one or b"EVAL" in one]


# The program goes on


@pytest.mark.parametrize("kind", ALL)
def test_all_goes_on_and_nobody_is_served_what_is_outdated_afterwards(proxy, user, other, compute, kind):
    me = user(degrade=True)
    me.do("get_or_compute", "k", DRINKS, compute)
    unit = me.cache.unit_of([("product", A_DRINK)])
    with proxy.trouble(ALL[kind]):
        assert me.do("get_or_compute", "k", DRINKS, compute) == 2
        me.do("fence", unit)
        me.do("release", unit)
        me.do("invalidate", "category")
        assert me.do("get_or_compute", "k", DRINKS, compute) == 3
        assert me.cache.circuit.owes()
    me.until(lambda: not me.cache.circuit.owes() and not me.cache.circuit.is_open)
    assert other.get_or_compute("k", DRINKS, compute) == 4
    assert me.do("get_or_compute", "k", DRINKS, compute) == 4


@pytest.mark.parametrize("kind", ALL)
def test_without_degrading_the_error_comes_before_the_commit(proxy, user, kind):
    me = user()
    with proxy.trouble(ALL[kind]):
        with pytest.raises(BackendError):
            me.do("fence", me.cache.unit_of(["product"]))
        with pytest.raises(BackendError):
            me.do("fetch", "k", DRINKS)
        assert not me.cache.circuit.is_open
    assert not me.do("fetch", "k", DRINKS).is_hit


@pytest.mark.parametrize("kind", ALL)
def test_without_degrading_a_release_that_was_lost_is_sent_by_itself(proxy, user, other, compute, kind):
    me = user()
    other.get_or_compute("k", DRINKS, compute)
    with proxy.trouble(ALL[kind]):
        me.do("release", me.cache.unit_of(["product"]))
    me.until(lambda: not me.cache.circuit.owes())
    assert other.get_or_compute("k", DRINKS, compute) == 2


# Open and closed


@pytest.mark.parametrize("kind", ALL)
def test_what_is_not_answered_opens_the_circuit_and_a_refusal_does_not(proxy, user, kind):
    me = user(degrade=True)
    with proxy.trouble(ALL[kind]):
        me.do("fetch", "k", DRINKS)
        assert me.cache.circuit.is_open == (kind in LOSSES)


def test_an_outage_costs_one_time_out_however_many_read_and_write(proxy, user, compute):
    me = user(degrade=True)
    me.do("get_or_compute", "k", DRINKS, compute)
    before = len(asked(proxy))
    with proxy.trouble(Silent()):
        for _ in range(20):
            me.do("get_or_compute", "k", DRINKS, compute)
            unit = me.cache.unit_of([("product", A_DRINK)])
            me.do("fence", unit)
            me.do("release", unit)
            me.do("invalidate", "product")
            me.do("set", "a", 1)
            me.do("get", "a", None)
        assert len(asked(proxy)) == before + 1


def test_one_request_that_asks_several_times_waits_once(proxy, compute):
    me = InThread(proxy.port, degrade=True)
    looked = me.cache.fetch("k", DRINKS)
    before = len(proxy.requests)
    with proxy.trouble(Silent()):
        # It has the right to store what it computes, takes the lock, looks again, stores and gives the lock back.
        me.cache.driver.run(me.cache._computing_once(looked, compute, 0))
        assert len([one for one in proxy.requests[before:] if b"HELLO" not in one]) == 1
    me.close()


def test_an_outage_costs_one_time_out_also_where_other_connections_are_at_hand(proxy, compute):
    me = InThread(proxy.port, degrade=True)
    me.cache.get_or_compute("k", DRINKS, compute)
    idle = me.cache.driver._wire._idle
    waiting = threading.Thread(target=me.cache.driver.execute, args=(Command("BLPOP", ("none", 0.1)),))
    waiting.start()
    wait_for(lambda: not idle)
    assert me.cache.get_or_compute("k", DRINKS, compute) == 1
    waiting.join()
    assert len(idle) == 2
    before = len(asked(proxy))
    with proxy.trouble(Silent()):
        assert [me.cache.get_or_compute("k", DRINKS, compute) for _ in range(3)] == [2, 3, 4]
        assert len(asked(proxy)) == before + 1
    me.close()


@pytest.fixture
def owing_meanwhile(proxy, other, monkeypatch):
    """A user who comes to owe something, by another thread, right before a hit's question goes out."""
    me = InThread(proxy.port, degrade=True)
    other.get_or_compute("k", DRINKS, lambda: "old")
    me.cache.fetch("k", DRINKS)
    ask = me.cache.driver.ask

    def owe_first(request):
        monkeypatch.undo()
        me.cache.circuit.owe(me.cache._owed, Debt({"product": None}))
        return ask(request)

    monkeypatch.setattr(me.cache.driver, "ask", owe_first)
    yield me
    me.close()


def test_what_comes_to_be_owed_while_a_hit_is_asked_for_is_sent_before_the_next_one(owing_meanwhile):
    # The first read began before that write has returned; what it is served is its own business.
    owing_meanwhile.cache.fetch("k", DRINKS)
    assert not owing_meanwhile.cache.fetch("k", DRINKS).is_hit


def test_what_comes_to_be_owed_while_a_miss_is_asked_for_drops_what_is_stored_after_it(owing_meanwhile):
    lookup = owing_meanwhile.cache.fetch("another", DRINKS)
    assert not lookup.is_hit
    owing_meanwhile.cache.fill(lookup, "old")
    assert not owing_meanwhile.cache.fetch("another", DRINKS).is_hit


@pytest.mark.parametrize("kind", ALL)
def test_what_goes_wrong_with_a_hit_over_a_connection_at_hand_is_an_error(proxy, user, compute, kind):
    me = user()
    me.do("get_or_compute", "k", DRINKS, compute)
    with proxy.trouble(ALL[kind]):
        with pytest.raises(BackendError):
            me.do("fetch", "k", DRINKS)
        with pytest.raises(BackendError):
            me.do("get_or_compute", "k", DRINKS, compute)
    assert me.do("fetch", "k", DRINKS).is_hit


@pytest.mark.parametrize("kind", ALL)
def test_what_goes_wrong_with_a_hit_over_a_connection_at_hand_is_noted(proxy, user, compute, kind):
    me = user(degrade=True)
    me.do("get_or_compute", "k", DRINKS, compute)
    with proxy.trouble(ALL[kind]):
        assert not me.do("fetch", "k", DRINKS).is_hit
        assert me.cache.circuit.is_open == (kind in LOSSES)


def test_while_memory_is_out_hits_are_served(redis_server, redis_client, compute):
    cache = Cache(redis_client, degrade=True)
    cache.get_or_compute("k", DRINKS, compute)
    with provoked_out_of_memory(redis_server):
        assert cache.get_or_compute("new", DRINKS, lambda: "new") == "new"
        assert cache.get_or_compute("k", DRINKS, compute) == 1


def test_a_lock_is_refused_at_once_while_the_circuit_is_open(proxy, user):
    me = user(degrade=True)
    with proxy.trouble(Silent()):
        me.do("fetch", "k", DRINKS)
        before = len(asked(proxy))
        with pytest.raises(BackendError, match="does not answer"):
            hold(me)
        assert len(asked(proxy)) == before


def hold(me):
    if isinstance(me, InThread):
        with me.cache.lock("name"):
            pass
    else:
        me.runner.run(_hold(me.cache))


async def _hold(cache):
    async with cache.lock("name"):
        pass


def test_all_is_dropped_or_the_caller_hears_of_it(proxy, user):
    me = user(degrade=True)
    with proxy.trouble(Silent()):
        for _ in range(2):
            with pytest.raises(BackendError):
                me.do("invalidate_all")
        assert me.cache.circuit.is_open


def test_caches_over_one_client_share_the_circuit_and_those_of_one_prefix_what_they_owe(proxy):
    client = redis.Redis(port=proxy.port)
    first, second, apart = Cache(client), Cache(client), Cache(client, prefix="apart:")
    assert first.circuit is second.circuit is apart.circuit
    assert first._owed is second._owed is not apart._owed
    client.close()


def test_what_is_owed_below_every_prefix_is_sent(proxy, redis_client, compute):
    client = redis.Redis(port=proxy.port, socket_timeout=0.3, retry=None)
    caches = [Cache(client, prefix=prefix, degrade=True) for prefix in ("a:", "b:")]
    for cache in caches:
        cache.get_or_compute("k", DRINKS, compute)
    with proxy.trouble(Silent()):
        for cache in caches:
            cache.invalidate("product")
    wait_for(lambda: not caches[0].circuit.owes())
    assert [Cache(redis_client, prefix=p).get_or_compute("k", DRINKS, compute) for p in ("a:", "b:")] == [
        3,
        4,
    ]
    client.close()


def test_it_is_said_once_that_a_server_is_away_and_once_that_it_is_back(proxy, user, caplog):
    me = user(degrade=True)
    with proxy.trouble(None):
        for _ in range(10):
            me.do("fetch", "k", DRINKS)
            me.do("invalidate", "product")

    def said():
        return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]

    # Reads may go on before their mender has said so.
    me.until(lambda: not me.cache.circuit.is_open and len(said()) > 1)
    assert len(said()) == 2
    assert "going on without the cache until it answers" in said()[0]
    assert "10 owed invalidations have been sent" in said()[1]


def test_a_refusal_is_said_once(proxy, user, caplog):
    me = user(degrade=True)
    with proxy.trouble(REFUSALS["out of memory"]):
        for _ in range(10):
            me.do("fetch", "k", DRINKS)
    assert len(caplog.records) == 1


# Servers in real trouble


@contextmanager
def provoked_read_only(server):
    with server.client() as client:
        client.execute_command("REPLICAOF", "127.0.0.1", 1)
        try:
            yield
        finally:
            client.execute_command("REPLICAOF", "NO", "ONE")


@contextmanager
def provoked_out_of_memory(server):
    with server.client() as client:
        before = client.config_get("maxmemory*")
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", 1)
        try:
            yield
        finally:
            for name in ("maxmemory", "maxmemory-policy"):
                client.config_set(name, before[name])


@contextmanager
def provoked_busy(server):
    with server.client() as client, server.client(socket_timeout=None, retry=None) as busy:
        client.config_set("lua-time-limit", 1)
        script = threading.Thread(target=_ignoring, args=(lambda: busy.eval("while true do end", 0),))
        script.start()
        wait_for(lambda: "BUSY" in str(_ignoring(client.ping)))
        try:
            yield
        finally:
            client.execute_command("SCRIPT", "KILL")
            script.join()
            client.config_set("lua-time-limit", 5000)


@contextmanager
def provoked_no_password(server):
    with server.client() as client:
        client.ping()
        client.config_set("requirepass", "secret")
        # Who is in already stays in.
        client.execute_command("AUTH", "secret")
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        try:
            yield
        finally:
            client.config_set("requirepass", "")


def _ignoring(call):
    try:
        return call()
    except redis.RedisError as error:
        return error


PROVOKED = {
    "read-only": provoked_read_only,
    "out of memory": provoked_out_of_memory,
    "busy": provoked_busy,
    "no password": provoked_no_password,
}


@pytest.mark.parametrize("kind", PROVOKED)
def test_all_goes_on_with_a_server_in_real_trouble(redis_server, proxy, user, compute, kind):
    me = user(degrade=True)
    me.do("get_or_compute", "k", DRINKS, compute)
    unit = me.cache.unit_of([("product", A_DRINK)])
    with PROVOKED[kind](redis_server):
        me.do("fence", unit)
        me.do("release", unit)
        assert me.do("get_or_compute", "k", DRINKS, compute) == 2
        me.do("invalidate", "product")
        assert me.do("get_or_compute", "k", DRINKS, compute) == 3
    me.until(lambda: not me.cache.circuit.owes() and not me.cache.circuit.is_open)
    wait_for(lambda: me.do("get_or_compute", "k", DRINKS, compute) == me.do("fetch", "k", DRINKS).value)


@pytest.mark.parametrize("kind", PROVOKED)
def test_without_degrading_real_trouble_comes_before_the_commit(redis_server, proxy, user, kind):
    me = user()
    me.do("fetch", "k", DRINKS)
    with PROVOKED[kind](redis_server), pytest.raises(BackendError):
        me.do("fence", me.cache.unit_of(["product"]))


# Races


def test_what_is_owed_just_after_the_circuit_was_closed_is_sent_all_the_same(proxy, user, other, compute):
    me = user(degrade=True)
    circuit = me.cache.circuit
    me.do("get_or_compute", "k", DRINKS, compute)
    with proxy.trouble(Silent()):
        me.do("fetch", "k", DRINKS)
    owe, circuit.owe = circuit.owe, lambda owed, debt: (close(circuit), owe(owed, debt))
    # The writer has found it open, and owes what it has changed once everything that was owed has been sent.
    me.do("invalidate", "product")
    assert not circuit.is_open
    assert not me.do("fetch", "k", DRINKS).is_hit
    me.until(lambda: not circuit.owes())
    assert other.get_or_compute("k", DRINKS, compute) == 2


def close(circuit):
    """Do what the mender does when the server has answered and nothing is owed."""
    assert list(circuit.settling(circuit._outage)) == []


class Idle:
    """A mender that leaves it to the test to work."""

    def __init__(self, circuit):
        self.has_begun, self.seen = False, time.monotonic()

    def start(self):
        self.has_begun = True
        return True

    def is_there(self):
        return True

    def stop(self):
        pass


def an_outage():
    return failure(redis.TimeoutError("Timeout reading from socket"), Command("GET", ("k",)))


def test_a_mender_that_is_about_to_leave_finds_what_has_come_since_it_looked():
    circuit = Circuit(None, Idle)
    owed = circuit.owed_by(CacheOptions())
    circuit.mend()
    mender, found = circuit.mender, iter([False, True])
    circuit._is_broken = lambda: next(found)
    assert circuit.is_needed(mender)
    assert circuit.mender is mender
    assert not owed.debts()


def test_whoever_owes_something_once_a_mender_has_left_begins_another():
    circuit = Circuit(None, Idle)
    owed = circuit.owed_by(CacheOptions())
    circuit.mend()
    first = circuit.mender
    assert not circuit.is_needed(first)
    circuit.owe(owed, Debt({"product": None}))
    assert circuit.mender is not first
    assert circuit.mender.has_begun
    assert not circuit.is_needed(first)


def test_one_who_cannot_begin_leaves_the_one_there_is_at_work(monkeypatch):
    circuit = Circuit(None, Idle)
    circuit.mend()
    first = circuit.mender
    monkeypatch.setattr(Idle, "is_there", lambda mender: False)
    monkeypatch.setattr(Idle, "start", lambda mender: False)
    circuit.mend()
    assert circuit.mender is first


def test_where_there_was_no_outage_the_server_is_asked_about_what_is_owed():
    circuit = Circuit(None, Idle)
    assert list(circuit.asking()) == []
    circuit.owe(circuit.owed_by(CacheOptions(prefix="p:")), Debt({"product": None}))
    assert list(circuit.asking()) == [(Command("EXISTS", ("p:g:{product}",)),)]


def test_an_outage_that_began_while_the_server_answered_about_another_is_not_ended_by_that():
    circuit = Circuit(None, Idle)
    circuit.failed(an_outage())
    before = circuit._outage
    close(circuit)
    circuit.failed(an_outage())
    assert list(circuit.settling(before)) == []
    assert circuit.is_open


def test_one_of_many_who_have_waited_says_so(caplog):
    circuit = Circuit(None, Idle)
    threads = [threading.Thread(target=circuit.failed, args=(an_outage(),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert circuit.is_open
    assert len(caplog.records) == 1


# Who mends


def mender_threads():
    return {thread for thread in threading.enumerate() if thread.name == "cacheops-mender"}


@pytest.fixture
def menders_at_work():
    """Return those who mend, but for those of other tests, whose servers may never come back."""
    others = mender_threads()
    return lambda: mender_threads() - others


@pytest.fixture
def away(proxy, menders_at_work):
    """Make a cache whose server has just gone."""

    def make(**options):
        client = redis.Redis(port=proxy.port, socket_timeout=0.3, retry=None)
        cache = Cache(client, degrade=True, **options)
        proxy.close()
        return cache

    yield make
    wait_for(lambda: not menders_at_work())


def test_nobody_is_left_when_there_is_nothing_to_mend(proxy, away, menders_at_work):
    cache = away()
    cache.invalidate("product")
    assert len(menders_at_work()) == 1
    proxy.open()
    wait_for(lambda: not menders_at_work())
    assert not cache.circuit.is_open
    assert not cache.circuit.owes()


def test_closing_a_cache_ends_who_mends(away, menders_at_work):
    cache = away()
    cache.invalidate("product")
    cache.close()
    wait_for(lambda: not menders_at_work())
    assert cache.circuit.owes()
    assert cache.circuit.is_open


def test_a_cache_that_was_closed_is_mended_when_it_is_used_again(proxy, away):
    cache = away()
    cache.fetch("k", DRINKS)
    cache.close()
    proxy.open()
    cache.fetch("k", DRINKS)
    wait_for(lambda: not cache.circuit.is_open)


def test_nobody_asks_for_a_cache_that_nobody_has_any_more(away):
    cache = away()
    cache.fetch("k", DRINKS)
    circuit = weakref.ref(cache.circuit)
    del cache
    wait_for(lambda: gc.collect() is not None and circuit() is None)


def test_what_is_owed_is_sent_also_when_nobody_has_the_cache_any_more(proxy, away, other, compute):
    other.get_or_compute("k", DRINKS, compute)
    cache = away()
    cache.invalidate("product")
    del cache
    gc.collect()
    proxy.open()
    wait_for(lambda: other.get_or_compute("k", DRINKS, compute) == 2)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_mends_for_itself(proxy, away):
    cache = away()
    cache.fetch("k", DRINKS)
    child = os.fork()
    if not child:
        try:
            cache.fetch("k", DRINKS)
            wait_for(lambda: not cache.circuit.is_open)
            os._exit(0)
        except BaseException:
            os._exit(1)
    assert cache.circuit.is_open
    proxy.open()
    assert os.waitpid(child, 0)[1] == 0
    wait_for(lambda: not cache.circuit.is_open)


def test_where_no_thread_can_be_begun_the_next_request_tries_again(away, monkeypatch, menders_at_work):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    cache = away()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        cache.fetch("k", DRINKS)
    assert not menders_at_work()
    cache.fetch("k", DRINKS)
    assert len(menders_at_work()) == 1
    cache.close()


def test_where_threads_do_not_run_requests_ask_for_themselves_again(proxy, away, compute, monkeypatch):
    # The story: uWSGI was not told to let threads run. One time-out, and the site would never ask its cache again.
    monkeypatch.setattr("cacheops_core.cache.ThreadMender", Idle)
    cache = away()
    cache.invalidate("product")
    proxy.open()
    assert [cache.get_or_compute("k", DRINKS, compute) for _ in range(2)] == [1, 2]
    cache.circuit.mender.seen -= NEGLECT
    assert [cache.get_or_compute("k", DRINKS, compute) for _ in range(2)] == [3, 3]
    assert not cache.circuit.owes()


def test_any_error_is_survived(proxy, away, monkeypatch):
    fails = iter([ValueError("odd")])
    asking = Circuit.asking

    def odd(circuit):
        for error in fails:
            raise error
        return asking(circuit)

    monkeypatch.setattr(Circuit, "asking", odd)
    cache = away()
    cache.fetch("k", DRINKS)
    proxy.open()
    wait_for(lambda: not cache.circuit.is_open)


ENDING = """
import asyncio, sys
import redis, redis.asyncio
from cacheops_core.cache import Cache
from cacheops_core.cache_async import AsyncCache

port = int(sys.argv[1])

def in_thread():
    cache = Cache(redis.Redis(port=port, socket_timeout=0.1, retry=None), degrade=True)
    cache.invalidate("product")
    assert cache.circuit.is_open and cache.circuit.owes()

async def in_task():
    # What a loaded machine makes slow is not what is asked for here.
    asyncio.get_running_loop().slow_callback_duration = 60.0
    cache = AsyncCache(redis.asyncio.Redis(port=port, socket_timeout=0.1, retry=None), degrade=True)
    await cache.invalidate("product")
    assert cache.circuit.is_open and cache.circuit.owes()
    await asyncio.sleep(0)
    await cache.driver.client.aclose()

if sys.argv[2] == "thread":
    in_thread()
else:
    asyncio.run(in_task())
"""


@pytest.mark.parametrize("behaviour", [None, Silent()], ids=["refused", "black hole"])
@pytest.mark.parametrize("where", ["thread", "loop"])
def test_a_program_that_ends_in_an_outage_ends_in_silence(proxy, where, behaviour):
    with proxy.trouble(behaviour):
        command = [sys.executable, "-X", "dev", "-W", "error", "-c", ENDING, str(proxy.port), where]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.rstrip().endswith("going on without the cache until it answers")


def test_a_loop_that_is_closed_in_an_outage_leaves_its_cache_to_the_next(proxy):
    me = InLoop(proxy.port, degrade=True)
    with proxy.trouble(None):
        me.do("fetch", "k", DRINKS)
        me.do("fetch", "k", DRINKS)
    me.runner.run(me.client.aclose())
    me.runner.close()
    me.runner = asyncio.Runner()
    me.do("fetch", "k", DRINKS)
    me.until(lambda: not me.cache.circuit.is_open)
    me.close()


# How they ask


def a_cluster():
    return redis.cluster.RedisCluster.__new__(redis.cluster.RedisCluster)


def a_sentinels():
    return redis.sentinel.Sentinel([("localhost", 1)]).master_for("shop")


def of_their_own():
    class Own(redis.Redis):
        def execute_command(self, *args, **options):
            return super().execute_command(*args, **options)

    return Own()


PLACE = ("host", "port", "path", "db", "username", "password", "protocol")


@pytest.mark.parametrize(
    "module, client",
    [
        ("", redis.Redis(socket_timeout=7.0, socket_connect_timeout=7.0)),
        ("", redis.Redis(socket_timeout=None)),
        ("", redis.Redis(protocol=3, ssl=True)),
        ("", redis.Redis.from_url("redis://localhost/3")),
        ("", redis.Redis.from_url("unix:///tmp/x.socket?db=3")),
        ("", redis.Redis(connection_pool=redis.BlockingConnectionPool(max_connections=3))),
        ("", valkey.Valkey()),
        (".asyncio", redis.asyncio.Redis()),
        (".asyncio", valkey.asyncio.Valkey()),
    ],
    ids=lambda value: getattr(type(value), "__name__", None),
)
def test_a_server_that_we_know_is_asked_in_haste(client, module):
    hasty = hasty_client(client, module)
    known, told = client.connection_pool.connection_kwargs, hasty.connection_pool.connection_kwargs
    assert told["socket_timeout"] == HASTE
    assert "path" in told or told["socket_connect_timeout"] == HASTE
    assert {name: told.get(name) for name in PLACE} == {name: known.get(name) for name in PLACE}
    assert type(hasty.connection_pool.make_connection()) is client.connection_pool.connection_class


@pytest.mark.parametrize("make", [a_cluster, a_sentinels, of_their_own])
def test_any_other_is_asked_as_it_is(make):
    assert hasty_client(make()) is None


@pytest.mark.parametrize(
    "request_, keys",
    [
        (Command("MGET", ("e", "g", "c")), ["e", "g", "c"]),
        (Command("SET", ("e", b"payload", "PX", 5)), ["e"]),
        (Call(RELEASE, ("g:{a}", "s:{a}"), ("unit",)), ["g:{a}"]),
        ((Call(RELEASE, ("g:{a}",), ()), Call(RELEASE, ("g:{b}",), ())), ["g:{a}", "g:{b}"]),
    ],
    ids=["several keys", "one key", "a script", "scripts"],
)
def test_the_nodes_that_did_not_answer_are_asked_again(request_, keys):
    asked = failure(redis.TimeoutError(), request_).unanswered
    assert asked == tuple(Command("EXISTS", (key,)) for key in keys)


def test_what_is_about_no_key_is_asked_of_anybody():
    assert failure(redis.TimeoutError(), Command("SCAN", (0,))).unanswered == (Command("PING", ()),)


@pytest.mark.parametrize(
    "error",
    [redis.exceptions.OutOfMemoryError("OOM"), redis.exceptions.MaxConnectionsError("Too many connections")],
    ids=["refused", "too many of us"],
)
def test_what_says_nothing_about_the_way_to_the_server_leaves_the_circuit_as_it_is(error):
    assert failure(error, Command("GET", ("k",))).unanswered == ()
