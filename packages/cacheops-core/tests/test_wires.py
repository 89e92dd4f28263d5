"""Wires: connections are used again only if nobody's answer is left in them, and lost ones are replaced once."""

import asyncio
import os
import threading
from contextlib import contextmanager

import pytest
import redis
import redis.asyncio
import redis.sentinel
import valkey

from cacheops_core.drivers import AsyncDriver, SyncDriver
from cacheops_core.errors import BackendError
from cacheops_core.flows import Call, Command
from cacheops_core.scripts import INCR, Script
from cacheops_core.testing import count_round_trips, start_server
from cacheops_core.testing.proxies import Cutting, HangingUp, Passing, Proxy, Silent
from cacheops_core.wires import KEPT, Wire, wire_of

PING = Command("PING", ())
OWN_ID = Command("CLIENT", ("ID",))
ECHO = Script("echo", "return {KEYS[1], ARGV[1]}")
READ = Command("MGET", ("a", "b"), tells_run=True)
"""What a hit asks, for which sync drivers have a way of their own."""

SOON = 0.2
"""Seconds after which a client gives up that has to in a test."""


class InLoop:
    """Runs flows as AsyncDriver does, for tests that are written for both."""

    def __init__(self, client):
        self.runner, self.client = asyncio.Runner(), client
        self.driver = self.runner.run(self._make(client))

    async def _make(self, client):
        return AsyncDriver(client)

    def run(self, flow):
        return self.runner.run(self.driver.run(flow))

    def close(self):
        self.runner.run(self.client.aclose())
        self.runner.close()


class InThread(SyncDriver):
    def close(self):
        self.client.close()


@contextmanager
def driving(kind, port, socket_timeout=10.0):
    options = {"port": port, "socket_timeout": socket_timeout, "retry": None}
    if kind == "async":
        driver = InLoop(redis.asyncio.Redis(**options))
    else:
        driver = InThread(redis.Redis(**options))
    yield driver
    driver.close()


@pytest.fixture
def proxy(redis_server, redis_client):
    proxy = Proxy(redis_server)
    yield proxy
    proxy.close()


@pytest.fixture(params=["sync", "async"])
def driver(request, proxy):
    with driving(request.param, proxy.port) as driver:
        yield driver


@pytest.fixture(params=["sync", "async"])
def impatient_driver(request, proxy):
    with driving(request.param, proxy.port, SOON) as driver:
        yield driver


def ask(driver, request):
    def asking():
        return (yield request)

    return driver.run(asking())


def test_a_connection_is_used_again(driver):
    assert ask(driver, OWN_ID) == ask(driver, OWN_ID)


def test_a_refused_command_leaves_its_connection_usable(driver):
    before = ask(driver, OWN_ID)
    with pytest.raises(BackendError, match="unknown command"):
        ask(driver, (PING, Command("NO-SUCH", ()), PING))
    assert ask(driver, OWN_ID) == before


def test_replies_are_what_the_client_makes_of_them(driver):
    requests = (Command("SET", ("k", b"v")), Command("SET", ("k", b"w", "NX")), Command("EXPIRE", ("k", 5)))
    assert ask(driver, requests) == [True, None, True]
    cursor, keys = ask(driver, Command("SCAN", (0, "MATCH", "k")))
    assert (int(cursor), keys) == (0, [b"k"])


def test_a_connection_that_was_closed_while_idle_is_replaced(driver, proxy):
    before = ask(driver, OWN_ID)
    proxy.hang_up()
    assert ask(driver, OWN_ID) > before


def test_a_restarted_server_costs_nobody_an_error():
    with start_server() as server, driving("sync", server.port) as driver:
        threads = [threading.Thread(target=ask, args=(driver, PING)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        server.restart()
        assert [ask(driver, PING) for _ in range(8)] == [True] * 8


def test_a_request_whose_answer_was_lost_goes_out_once_more(driver, proxy):
    ask(driver, PING)
    proxy.requests.clear()
    proxy.behaviour = OnRequest(b"ECHO", HangingUp(), times=1)
    assert ask(driver, Command("ECHO", ("a",))) == b"a"
    assert told(proxy, b"ECHO") == 2


def test_a_lost_answer_is_an_error_the_second_time(driver, proxy):
    ask(driver, PING)
    proxy.requests.clear()
    proxy.behaviour = OnRequest(b"ECHO", HangingUp())
    with pytest.raises(BackendError):
        ask(driver, Command("ECHO", ("a",)))
    assert told(proxy, b"ECHO") == 2


# A hit's one question


def test_a_hits_question_brings_the_values_and_who_has_told_them(driver, redis_client):
    redis_client.set("b", b"1")
    (run, values), again = ask(driver, READ), ask(driver, READ)
    assert (len(run), values, again) == (4, [None, b"1"], (run, values))


def test_a_hits_question_goes_over_the_connection_at_hand(driver, proxy):
    before, _, after = ask(driver, OWN_ID), ask(driver, READ), ask(driver, OWN_ID)
    assert before == after
    proxy.requests.clear()
    ask(driver, READ)
    assert told(proxy, b"INFO") == 0


def test_a_hits_question_that_was_lost_goes_out_once_more(driver, proxy):
    expected = ask(driver, READ)
    proxy.requests.clear()
    proxy.behaviour = OnRequest(b"MGET", HangingUp(), times=1)
    assert ask(driver, READ) == expected
    assert told(proxy, b"MGET") == 2


def test_a_hits_question_that_is_lost_twice_is_an_error(driver, proxy):
    ask(driver, READ)
    proxy.requests.clear()
    proxy.behaviour = OnRequest(b"MGET", HangingUp())
    with pytest.raises(BackendError):
        ask(driver, READ)
    assert told(proxy, b"MGET") == 2


def test_a_hits_question_over_a_connection_that_was_closed_while_idle(driver, proxy):
    expected = ask(driver, READ)
    proxy.hang_up()
    assert ask(driver, READ) == expected


def test_a_hits_question_that_is_refused_leaves_its_connection_usable(driver):
    ask(driver, READ)
    before = ask(driver, OWN_ID)
    with pytest.raises(BackendError, match="wrong number"):
        ask(driver, Command("MGET", (), tells_run=True))
    assert ask(driver, OWN_ID) == before


def test_a_hits_question_is_not_asked_again_after_a_time_out(impatient_driver, proxy):
    ask(impatient_driver, READ)
    proxy.requests.clear()
    proxy.behaviour = Silent()
    with pytest.raises(BackendError, match=r"[Tt]imeout"):
        ask(impatient_driver, READ)
    assert told(proxy, b"MGET") == 1


def test_nobody_gets_the_answer_to_a_hits_question_that_was_given_up(impatient_driver, proxy):
    ask(impatient_driver, READ)
    proxy.behaviour = OnRequest(b"MGET", Silent())
    with pytest.raises(BackendError):
        ask(impatient_driver, READ)
    proxy.behaviour = Passing()
    assert ask(impatient_driver, Command("ECHO", ("c",))) == b"c"


@pytest.mark.parametrize(
    "request_", [Call(INCR, ("n",), (1, 0)), Command("SET", ("n", 1, "NX"))], ids=["incr", "add"]
)
def test_what_counts_never_goes_out_twice(driver, proxy, redis_client, request_):
    ask(driver, Call(INCR, ("other",), (1, 0)))
    proxy.behaviour = OnRequest(b"n\r\n", HangingUp())
    with pytest.raises(BackendError):
        ask(driver, request_)
    assert redis_client.get("n") == b"1"


def test_what_counts_is_not_sent_over_a_connection_that_was_closed_while_idle(driver, proxy):
    ask(driver, PING)
    proxy.hang_up()
    assert ask(driver, Call(INCR, ("n",), (1, 0))) == 1


def test_a_time_out_is_not_tried_again(impatient_driver, proxy):
    ask(impatient_driver, PING)
    proxy.requests.clear()
    proxy.behaviour = Silent()
    with pytest.raises(BackendError, match=r"[Tt]imeout"):
        ask(impatient_driver, Command("ECHO", ("a",)))
    assert told(proxy, b"ECHO") == 1


@pytest.mark.parametrize("behaviour", [Silent(), Cutting()], ids=["silent", "cutting"])
def test_nobody_gets_the_answer_to_a_question_that_was_given_up(impatient_driver, proxy, behaviour):
    ask(impatient_driver, PING)
    proxy.behaviour = OnRequest(b"ECHO", behaviour)
    with pytest.raises(BackendError):
        ask(impatient_driver, (Command("ECHO", ("a",)), Command("ECHO", ("b",))))
    proxy.behaviour = Passing()
    assert ask(impatient_driver, Command("ECHO", ("c",))) == b"c"


def test_nobody_gets_the_answer_to_a_question_that_was_interrupted(redis_client, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    driver = SyncDriver(redis_client)
    ask(driver, PING)
    with monkeypatch.context() as patch:
        patch.setattr(redis.Connection, "read_response", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ask(driver, Command("ECHO", ("a",)))
    assert ask(driver, Command("ECHO", ("b",))) == b"b"


def test_nobody_gets_the_answer_to_a_question_that_was_cancelled(proxy):
    async def run():
        async with redis.asyncio.Redis(port=proxy.port) as client:
            driver = AsyncDriver(client)
            await driver.execute(PING)
            proxy.behaviour = sent = Noticed()
            task = asyncio.create_task(driver.execute(Command("ECHO", ("a",))))
            await asyncio.to_thread(sent.event.wait)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            proxy.behaviour = Passing()
            return await driver.execute(Command("ECHO", ("b",)))

    assert asyncio.run(run()) == b"b"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_has_connections_of_its_own(redis_client):
    driver = SyncDriver(redis_client)
    before = ask(driver, OWN_ID)
    child = os.fork()
    if not child:
        os._exit(0 if ask(driver, OWN_ID) != before else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert ask(driver, OWN_ID) == before


def test_no_more_connections_are_kept_than_so_many(redis_client):
    driver, barrier = SyncDriver(redis_client), threading.Barrier(KEPT + 4)

    def block():
        barrier.wait()
        ask(driver, Command("BLPOP", ("none", 0.2)))

    threads = [threading.Thread(target=block) for _ in range(KEPT + 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(driver._wire._idle) <= KEPT
    assert len(redis_client.connection_pool._in_use_connections) == len(driver._wire._idle)


def test_a_pool_of_one_connection_is_left_to_others(redis_server):
    client = redis.Redis.from_url(redis_server.url, max_connections=1)
    driver = SyncDriver(client)
    assert [ask(driver, PING), client.ping(), ask(driver, PING)] == [True] * 3
    client.close()


def test_caches_of_one_client_share_its_connections(redis_client):
    assert ask(SyncDriver(redis_client), OWN_ID) == ask(SyncDriver(redis_client), OWN_ID)


def test_a_sentinels_pool_sees_every_connection_again():
    client = redis.sentinel.Sentinel([("127.0.0.1", 1)]).master_for("primary")
    assert wire_of(client, Wire)._most == 0


class Counting(redis.Redis):
    """A client with a way of its own to the server."""

    def execute_command(self, *args, **options):
        return args


@pytest.mark.parametrize(
    "kind, options",
    [(Counting, {}), (redis.Redis, {"single_connection_client": True})],
    ids=["subclass", "single connection"],
)
def test_a_client_that_goes_its_own_way_is_asked_as_its_author_meant_it(redis_server, kind, options):
    client = kind(port=redis_server.port, **options)
    assert wire_of(client, Wire) is None
    client.close()


def test_valkeys_client_is_known(redis_server):
    client = valkey.Valkey.from_url(redis_server.url)
    driver = SyncDriver(client)
    assert driver._wire is not None
    with count_round_trips(client) as trips:
        assert ask(driver, Call(ECHO, ("k",), ("a",))) == [b"k", b"a"]
        assert ask(driver, Call(ECHO, ("k",), ("a",))) == [b"k", b"a"]
    assert trips.count in (2, 3)
    client.close()


@pytest.mark.parametrize("protocol", [2, 3])
def test_both_protocols_give_the_same_replies(redis_server, redis_client, protocol):
    client = redis.Redis.from_url(redis_server.url, protocol=protocol)
    driver = SyncDriver(client)
    requests = (Command("SET", ("k", b"v")), Command("MGET", ("k", "other")), Command("TIME", ()))
    stored, found, time = ask(driver, requests)
    assert (stored, found) == (True, [b"v", None])
    assert all(isinstance(part, int) for part in time)
    client.close()


def test_nothing_depends_on_hiredis(driver, monkeypatch):
    monkeypatch.setattr("cacheops_core.wires.pack_command", None)
    assert ask(driver, (Command("SET", ("k", b"v" * 20_000)), PING)) == [True, True]
    assert ask(driver, Command("MGET", ("k",))) == [b"v" * 20_000]


class OnRequest(Passing):
    """Behaves as another one over a connection once it has brought a request with this text in it."""

    def __init__(self, text, other, times=100):
        self.text, self.other, self.times, self.chosen = text, other, times, set()

    def request(self, client, server, data):
        if self.text in data and self.times:
            self.times -= 1
            self.chosen.add(client)
        behaviour = self.other if client in self.chosen else super()
        behaviour.request(client, server, data)

    def reply(self, client, data):
        behaviour = self.other if client in self.chosen else super()
        behaviour.reply(client, data)


class Noticed(Silent):
    def __init__(self):
        self.event = threading.Event()

    def request(self, client, server, data):
        self.event.set()


def told(proxy, name):
    return sum(name in data for data in proxy.requests)
