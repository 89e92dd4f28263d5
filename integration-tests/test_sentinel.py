"""A project whose sentinels name its server: found when it starts, and found again when it is another one."""

from collections.abc import Callable, Iterator

import pytest
from processes import Actor
from project.shop import actions
from sentinels import primary_of, sentinel, use_sentinel

from cacheops_core.testing import Server, start_server, wait_for

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
