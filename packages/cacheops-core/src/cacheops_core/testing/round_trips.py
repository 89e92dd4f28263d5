"""Counting how often a client waits for its server."""

import asyncio
import inspect
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

HANDSHAKE = frozenset({"HELLO", "AUTH", "CLIENT", "SELECT", "INFO", "CLUSTER"})
"""Commands that are sent once over each new connection, or once a second."""


@dataclass(slots=True)
class RoundTrips:
    """What a client has sent, in the order of sending."""

    sent: list[tuple[str, ...]] = field(default_factory=list)
    """The names of the commands of each round trip; several for a pipeline."""

    @property
    def count(self) -> int:
        """How often something was sent."""
        return len(self.sent)


@contextmanager
def count_round_trips(client: Any) -> Iterator[RoundTrips]:
    """Watch what is sent over the connections of a client, sync or async, until the end of the block.

    Of a client of a cluster, which must not be async, those of all its nodes are watched. The handshake of a new
    connection does not count.
    """
    trips = RoundTrips()
    with ExitStack() as stack:
        for pool in _pools(client):
            stack.enter_context(_counting(pool, trips))
        yield trips


def _pools(client: Any) -> list[Any]:
    if hasattr(client, "get_nodes"):
        return [client.get_redis_connection(node).connection_pool for node in client.get_nodes()]
    return [client.connection_pool]


@contextmanager
def _counting(pool: Any, trips: RoundTrips) -> Iterator[None]:
    take, watched = pool.get_connection, []

    def note(packed: Any) -> None:
        if not HANDSHAKE.issuperset(names := _names(packed)):
            # Who answers is asked once a second, together with something else.
            trips.sent.append(tuple(name for name in names if name != "INFO") or names)

    def watch(connection: Any) -> Any:
        send = connection.send_packed_command

        def counted(command: Any, *args: Any, **kwargs: Any) -> Any:
            note(command)
            return send(command, *args, **kwargs)

        if connection not in watched:
            connection.send_packed_command = counted
            watched.append(connection)
        return connection

    def taken(*args: Any, **kwargs: Any) -> Any:
        return watch(take(*args, **kwargs))

    async def taken_async(*args: Any, **kwargs: Any) -> Any:
        return watch(await take(*args, **kwargs))

    def written(writer: Any, data: Any) -> None:
        # What an async driver sends past the connection, to its socket.
        if any(connection._writer is writer for connection in watched):
            note(data)
        write(writer, data)

    for connection in (*pool._available_connections, *pool._in_use_connections):
        watch(connection)
    is_async = inspect.iscoroutinefunction(inspect.unwrap(take))
    pool.get_connection, write = taken_async if is_async else taken, asyncio.StreamWriter.write
    try:
        with mock.patch.object(asyncio.StreamWriter, "write", written) if is_async else nullcontext():
            yield
    finally:
        del pool.get_connection
        for connection in watched:
            del connection.send_packed_command


def _names(packed: Any) -> tuple[str, ...]:
    """Return the names of commands as they go over the wire: ``*2 $3 GET $3 key``, lines ended by CRLF."""
    data = packed if isinstance(packed, bytes) else b"".join(packed)
    names, position = [], 0
    while position < len(data):
        length, position = _number(data, position)
        for index in range(length):
            size, position = _number(data, position)
            if index == 0:
                names.append(data[position : position + size].decode())
            position += size + 2
    return tuple(names)


def _number(data: bytes, position: int) -> tuple[int, int]:
    stop = data.index(b"\r\n", position)
    return int(data[position + 1 : stop]), stop + 2
