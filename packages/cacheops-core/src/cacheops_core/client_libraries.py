"""Which clients we know so well that we may go past them: those of a library that nobody has put anything around."""

from __future__ import annotations

from typing import Any

LIBRARIES = ("redis", "valkey")
"""The libraries whose clients we know. Both are of one descent."""

PLAIN_POOLS = ("ConnectionPool", "BlockingConnectionPool")
"""Pools of connections to one server, and always the same."""


def library_of(client: Any) -> str | None:
    """Return the library of a client that does nothing on its way to the socket but what its library does."""
    pool = getattr(client, "connection_pool", None)
    if pool is None or getattr(client, "connection", None) is not None:
        # A cluster's; or one that keeps to a single connection.
        return None
    found = {defined_in(type(client), name) for name in ("execute_command", "parse_response", "pipeline")}
    found |= {defined_in(type(pool), name) for name in ("get_connection", "release")}
    needed = ("send_packed_command", "read_response", "pack_commands", "disconnect")
    found |= {defined_in(pool.connection_class, name) for name in needed}
    return found.pop() if len(found) == 1 and found <= set(LIBRARIES) else None


def defined_in(cls: type, name: str) -> str | None:
    """Return the package of the class from which this one has a method."""
    for base in cls.__mro__:
        if name in vars(base):
            return base.__module__.partition(".")[0]
    return None
