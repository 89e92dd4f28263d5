"""Pytest fixtures: a real server for the session, and a client of it that finds it empty.

For use in a ``conftest.py``: ``from cacheops_core.testing.plugin import redis_client, redis_server``. Every
test that uses them runs once for each kind of server that is there; ``CACHEOPS_TEST_SERVERS=valkey`` names
those that are wanted.
"""

import os
from collections.abc import Iterator

import pytest
import redis

from .servers import Server, known_binaries, start_server

__all__ = ["redis_client", "redis_server", "servers_to_test"]


def servers_to_test() -> list[str]:
    """Return the names of the servers to test with: those that are there, or those that are asked for."""
    asked = os.environ.get("CACHEOPS_TEST_SERVERS", "").split(",")
    return [name for name in asked if name] or list(known_binaries()) or ["auto"]


@pytest.fixture(scope="session", params=servers_to_test())
def redis_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server for all tests; those that kill it start it again."""
    with start_server(request.param) as server:
        yield server


@pytest.fixture
def redis_client(redis_server: Server) -> Iterator[redis.Redis]:
    """A client of an empty server."""
    with redis_server.client() as client:
        client.flushall()
        yield client
