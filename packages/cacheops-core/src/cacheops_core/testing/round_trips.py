"""Counting how often a client waits for its server."""

import inspect
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any


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
    """Watch what is sent through the pool of a client, sync or async, until the end of the block.

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

    def watch(connection: Any) -> Any:
        send = connection.send_packed_command

        def counted(command: Any, *args: Any, **kwargs: Any) -> Any:
            trips.sent.append(_names(command))
            return send(command, *args, **kwargs)

        if connection not in watched:
            connection.send_packed_command = counted
            watched.append(connection)
        return connection

    def taken(*args: Any, **kwargs: Any) -> Any:
        return watch(take(*args, **kwargs))

    async def taken_async(*args: Any, **kwargs: Any) -> Any:
        return watch(await take(*args, **kwargs))

    pool.get_connection = taken_async if inspect.iscoroutinefunction(inspect.unwrap(take)) else taken
    try:
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
