"""Drivers: flows meet sockets, and errors come back into the flow."""

import asyncio

import pytest
import redis
import redis.asyncio

from cacheops_core.drivers import PATIENCE, AsyncDriver, SyncDriver
from cacheops_core.errors import BackendError, ConfigurationError
from cacheops_core.flows import Call, Command, Work
from cacheops_core.scripts import Script
from cacheops_core.testing import count_round_trips

ECHO = Script("echo", "return {KEYS[1], ARGV[1]}")
PING = Command("PING", ())
GARBLED = Command("NO-SUCH-COMMAND", ())


class InTurn:
    """Runs flows as AsyncDriver does, for tests that are written for both."""

    def __init__(self, client: redis.Redis) -> None:
        options = client.connection_pool.connection_kwargs
        self.server = {"host": options["host"], "port": options["port"]}

    def run(self, flow):
        async def run():
            async with redis.asyncio.Redis(**self.server) as client:
                return await AsyncDriver(client).run(flow)

        return asyncio.run(run())


@pytest.fixture(params=[SyncDriver, InTurn], ids=["sync", "async"])
def driver(request, redis_client):
    return request.param(redis_client)


def asking(request):
    return (yield request)


def test_a_flow_gets_its_reply(driver):
    assert driver.run(asking(Command("SET", ("key", b"value")))) is True
    assert driver.run(asking(Command("MGET", ("key", "other")))) == [b"value", None]


def test_several_requests_get_a_list_of_replies(driver):
    assert driver.run(asking((PING, Command("MGET", ("a",))))) == [True, [None]]
    assert driver.run(asking((PING,))) == [True]


def test_a_flow_that_asks_for_nothing_returns(driver):
    assert driver.run(replied for replied in ()) is None


def test_a_script_that_the_server_does_not_know_is_taught(driver, redis_client):
    redis_client.script_flush()
    assert driver.run(asking(Call(ECHO, ("k",), ("a",)))) == [b"k", b"a"]
    assert redis_client.script_exists(ECHO.sha) == [True]


def test_scripts_in_a_pipeline_are_taught_too(driver, redis_client):
    redis_client.script_flush()
    assert driver.run(asking((Call(ECHO, ("k",), ("a",)), PING))) == [[b"k", b"a"], True]


def test_a_known_script_is_one_round_trip(redis_client):
    driver = SyncDriver(redis_client)
    driver.run(asking(Call(ECHO, ("k",), ("a",))))
    with count_round_trips(redis_client) as trips:
        driver.run(asking((Call(ECHO, ("k",), ("a",)), Call(ECHO, ("k",), ("b",)))))
    assert trips.sent == [("EVALSHA", "EVALSHA")]


def test_an_error_of_the_server_is_ours(driver):
    with pytest.raises(BackendError, match="unknown command") as raised:
        driver.run(asking(GARBLED))
    assert isinstance(raised.value.__cause__, redis.RedisError)


def test_an_error_of_a_script_is_ours(driver):
    with pytest.raises(BackendError):
        driver.run(asking(Call(Script("wrong", "return redis.call('NO-SUCH-COMMAND')"), (), ())))


def test_a_flow_can_catch_an_error(driver):
    def careful():
        try:
            yield GARBLED
        except BackendError:
            return (yield PING)

    assert driver.run(careful()) is True


def test_a_flow_runs_the_callers_work(driver):
    assert driver.run(asking(Work(lambda: 7))) == 7


def test_work_that_fails_lets_the_flow_give_back_what_it_holds(driver, redis_client):
    def holding():
        yield Command("SET", ("held", 1))
        try:
            yield Work(lambda: 1 / 0)
        finally:
            yield Command("DEL", ("held",))

    with pytest.raises(ZeroDivisionError):
        driver.run(holding())
    assert redis_client.get("held") is None


def test_asynchronous_work_is_awaited(redis_client):
    async def answer():
        return 7

    assert InTurn(redis_client).run(asking(Work(answer))) == 7


def test_a_cancelled_flow_gives_back_what_it_holds(redis_server, redis_client):
    async def run():
        begun = asyncio.Event()

        def holding():
            yield Command("SET", ("held", 1))
            try:
                yield Work(hang)
            finally:
                yield Command("DEL", ("held",))

        async def hang():
            begun.set()
            await asyncio.Event().wait()

        async with redis.asyncio.Redis.from_url(redis_server.url) as client:
            task = asyncio.create_task(AsyncDriver(client).run(holding()))
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(run())
    assert redis_client.get("held") is None


def test_a_server_that_is_away_is_a_backend_error(unused_port):
    client = redis.Redis(port=unused_port, retry=None)
    with pytest.raises(BackendError):
        SyncDriver(client).run(asking(PING))


@pytest.fixture
def unused_port():
    from socket import socket

    with socket() as one:
        one.bind(("127.0.0.1", 0))
        yield one.getsockname()[1]


@pytest.mark.parametrize("kind", [redis.Redis, redis.asyncio.Redis], ids=["sync", "async"])
def test_a_client_that_decodes_is_refused(kind):
    driver = SyncDriver if kind is redis.Redis else AsyncDriver
    with pytest.raises(ConfigurationError, match="decode_responses"):
        driver(kind(decode_responses=True))


def test_a_client_that_remembers_replies_is_refused():
    client = redis.Redis()
    client.connection_pool.cache = object()
    with pytest.raises(ConfigurationError, match="cache_config"):
        SyncDriver(client)


@pytest.mark.parametrize("timeout, expected", [(None, PATIENCE), (10, PATIENCE), (0.2, 0.1)])
def test_no_command_blocks_for_longer_than_the_client_waits(timeout, expected):
    assert SyncDriver(redis.Redis(socket_timeout=timeout)).patience == expected


class ValkeyError(Exception):
    """As valkey-py calls what it raises, which is no error of redis-py."""


class NoScriptError(ValkeyError):
    pass


class OtherClient:
    """A client of another library, whose server knows no script and no other command."""

    def __init__(self):
        self.connection_pool = redis.ConnectionPool()
        self.sent = []

    def execute_command(self, *command):
        self.sent.append(command[0])
        if command[0] == "EVAL":
            return b"done"
        raise NoScriptError if command[0] == "EVALSHA" else ValkeyError("refused")


def test_the_errors_of_other_libraries_are_understood():
    driver = SyncDriver(OtherClient())
    assert driver.run(asking(Call(ECHO, (), ()))) == b"done"
    assert driver.client.sent == ["EVALSHA", "EVAL"]
    with pytest.raises(BackendError, match="refused"):
        driver.run(asking(PING))


def test_an_error_of_the_callers_own_work_stays_what_it_is(driver):
    def work():
        raise redis.RedisError("of another server")

    with pytest.raises(redis.RedisError, match="another"):
        driver.run(asking(Work(work)))
