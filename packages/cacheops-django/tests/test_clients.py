"""The client that the settings ask for: of the right class, with our patience, and not connected early."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import valkey
from django.test import override_settings
from redis.sentinel import SentinelConnectionPool

from cacheops_core import embedded
from cacheops_django import conf


def client_for(**settings: Any) -> Any:
    with override_settings(**settings):
        return conf.make_client()


def options_of(client: Any) -> dict[str, Any]:
    options: dict[str, Any] = client.connection_pool.connection_kwargs
    return options


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def silent_server(silent: socket.socket) -> dict[str, Any]:
    host, port = silent.getsockname()
    return {"host": host, "port": port, "socket_timeout": 0.2}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "v"
    embedded.stop()


@pytest.mark.parametrize(
    "server, host, port, number",
    [
        pytest.param("redis://h:1/2", "h", 1, 2, id="URL"),
        pytest.param("redis://h", "h", None, None, id="short URL"),
        pytest.param({"host": "h", "port": "1", "db": "2"}, "h", "1", "2", id="arguments"),
        pytest.param({"host": "h", "unix_socket_path": ""}, "h", 6379, 0, id="no socket"),
    ],
)
def test_a_client_goes_where_the_settings_say(server: Any, host: str, port: Any, number: Any) -> None:
    client = client_for(CACHEOPS_REDIS=server)
    assert type(client) is redis.Redis
    options = options_of(client)
    assert (options["host"], options.get("port"), options.get("db")) == (host, port, number)


def test_a_socket_replaces_host_and_port() -> None:
    client = client_for(CACHEOPS_REDIS={"host": "h", "unix_socket_path": "/run/s"})
    assert options_of(client)["path"] == "/run/s"
    assert options_of(client_for(CACHEOPS_REDIS="unix:///run/s?db=1"))["path"] == "/run/s"


@pytest.mark.parametrize("server", ["redis://h", {"host": "h"}], ids=["URL", "arguments"])
def test_an_answer_is_waited_for_one_second_and_tried_once_more(server: Any) -> None:
    options = options_of(client_for(CACHEOPS_REDIS=server))
    assert (options["socket_timeout"], options["socket_connect_timeout"]) == (1.0, 1.0)
    assert options["retry"].get_retries() == 1


@pytest.mark.parametrize(
    "server", ["redis://h?socket_timeout=3", {"socket_timeout": 3}], ids=["URL", "arguments"]
)
def test_what_the_settings_say_of_patience_holds(server: Any) -> None:
    assert options_of(client_for(CACHEOPS_REDIS=server))["socket_timeout"] == 3.0


def test_a_server_that_says_nothing_costs_one_time_out(silent: socket.socket) -> None:
    client = client_for(CACHEOPS_REDIS=silent_server(silent))
    began = time.monotonic()
    with pytest.raises(redis.TimeoutError):
        client.ping()
    assert time.monotonic() - began >= 0.2
    # A second try would have connected a second time.
    silent.setblocking(False)
    silent.accept()[0].close()
    with pytest.raises(BlockingIOError):
        silent.accept()


def test_a_connection_that_broke_meanwhile_is_replaced(folder: Path) -> None:
    client, other = (client_for(CACHEOPS_REDIS=f"embedded://{folder}") for _ in range(2))
    assert client.ping()
    other.client_kill_filter(_type="normal", skipme=True)
    assert client.ping()


def test_an_embedded_server_is_started_again_after_its_end(folder: Path) -> None:
    client = client_for(CACHEOPS_REDIS=f"embedded://{folder}")
    assert client.ping()
    embedded.stop()
    assert client.ping()


def test_a_client_of_another_library_has_its_own_kind_of_patience(silent: socket.socket) -> None:
    client = client_for(CACHEOPS_REDIS=silent_server(silent), CACHEOPS_CLIENT_CLASS="valkey.Valkey")
    assert type(client) is valkey.Valkey
    with pytest.raises(valkey.TimeoutError):
        client.ping()


class Counting(redis.Redis):
    """A class that a project has made of redis-py's."""


class Foreign:
    """A class of no library that we know."""

    def __init__(self, **arguments: Any) -> None:
        self.arguments = arguments


def test_a_projects_own_class_is_used() -> None:
    client = client_for(CACHEOPS_REDIS="redis://h", CACHEOPS_CLIENT_CLASS=Counting)
    assert type(client) is Counting
    assert options_of(client)["socket_timeout"] == 1.0


def test_an_unknown_class_gets_what_is_written_and_no_more() -> None:
    client = client_for(CACHEOPS_REDIS={"host": "h"}, CACHEOPS_CLIENT_CLASS=Foreign)
    assert client.arguments == {"host": "h"}


def test_sentinels_are_asked_for_the_primary() -> None:
    places = {"locations": [("a", 1), ("b", 2)], "service_name": "cache"}
    client = client_for(CACHEOPS_REDIS=None, CACHEOPS_SENTINEL=places | {"db": 3, "socket_timeout": 0.3})
    pool = client.connection_pool
    assert isinstance(pool, SentinelConnectionPool)
    assert (pool.service_name, pool.is_master, pool.connection_kwargs["db"]) == ("cache", True, 3)
    sentinels = [options_of(sentinel) for sentinel in pool.sentinel_manager.sentinels]
    assert [(options["host"], options["port"], options["db"]) for options in sentinels] == [
        ("a", 1, 0),
        ("b", 2, 0),
    ]
    assert {(options["socket_timeout"], options["retry"].get_retries()) for options in sentinels} == {
        (0.3, 1)
    }


def test_sentinels_may_have_a_password_of_their_own() -> None:
    sentinel = {"locations": [("a", 1)], "service_name": "cache", "sentinel_kwargs": {"password": "p"}}
    client = client_for(CACHEOPS_REDIS=None, CACHEOPS_SENTINEL=sentinel)
    [options] = [options_of(sentinel) for sentinel in client.connection_pool.sentinel_manager.sentinels]
    assert (options["password"], options["socket_timeout"]) == ("p", 1.0)
    assert options_of(client).get("password") is None


@pytest.mark.parametrize(
    "cluster",
    [
        pytest.param(lambda port: f"redis://127.0.0.1:{port}", id="URL"),
        pytest.param(lambda port: {"host": "127.0.0.1", "port": port}, id="host"),
        pytest.param(lambda port: {"startup_nodes": [("127.0.0.1", port)]}, id="nodes as pairs"),
        pytest.param(lambda port: {"startup_nodes": [{"host": "127.0.0.1", "port": port}]}, id="nodes"),
    ],
)
def test_a_cluster_is_asked_for_its_nodes_at_once(cluster: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    # Nobody listens there any more: what the client says shows that it went there, and as a cluster's.
    with pytest.raises(redis.exceptions.RedisClusterException, match=r"Redis Cluster cannot be connected"):
        client_for(CACHEOPS_REDIS=None, CACHEOPS_CLUSTER=cluster(port))
