"""Speaking over a client's own connections, without the layers above them.

Most of what a hit costs a process is not the server and not the socket, but the way through the client: options,
closures for retries, metrics, a pool that looks after each connection twice. So where the client is one that we
know, we take connections from its pool, keep a few of them at hand, and send and read over these ourselves.

A connection that goes back to where it came from has had all of its replies read. Whatever comes in between (an
error, a time-out, Ctrl-C, a cancelled task) closes it, for the next to use it would read the answer to somebody
else's question. And so an idle connection of ours needs no look before it is used: if the server has closed it
meanwhile, sending over it fails, or reading from it does, and the request goes out once more over a new one.

Out once more: the server may have done what it was asked and died before it could say so. Reading again is no
harm; nor is storing the same entry, acquiring (who has created the stamps finds them), fencing (the unit stands
in its fences already) or releasing (it has left them; a stamp that was born since is dropped without need). What
counts or answers "were you the first?" goes over a connection that has just been looked at, and never out twice.
A time-out is not tried again: whoever waited has waited enough.
"""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import Callable, Generator
from importlib import import_module
from typing import Any

from .flows import Call, Command, Request

pack_command: Callable[[Any], bytes] | None
try:
    from hiredis import pack_command
except ImportError:
    pack_command = None

Steps = Generator[Any, Any, Any]
"""Yields what the calls of a client return: of a sync one what they are for, of an async one what to await for it."""

LIBRARIES = ("redis", "valkey")
"""The libraries whose clients we know. Both are of one descent."""

KEPT = 16
"""Connections that are kept at hand. Whoever needs more at the same time goes through the pool for the rest."""

SMALL = 16_384
"""Bytes that are handed to an event loop's socket without waiting until they have left."""

Arguments = Callable[[Request], tuple[Any, ...]]


def by_digest(request: Request) -> tuple[Any, ...]:
    """Return a request as a command that names its script by digest."""
    if isinstance(request, Call):
        return ("EVALSHA", request.script.sha, len(request.keys), *request.keys, *request.args)
    return (request.name, *request.args)


def by_source(request: Request) -> tuple[Any, ...]:
    """Return a request as a command that brings its script along."""
    if isinstance(request, Call):
        return ("EVAL", request.script.source, len(request.keys), *request.keys, *request.args)
    return (request.name, *request.args)


def is_no_script(error: BaseException) -> bool:
    """Return whether a server does not know a script by its digest."""
    return type(error).__name__ == "NoScriptError"


def is_repeatable(request: Request | tuple[Request, ...]) -> bool:
    """Return whether a request may be sent twice with the effect, and the answer, of once."""
    if isinstance(request, tuple):
        return all(map(is_repeatable, request))
    if isinstance(request, Call):
        return request.script.is_repeatable
    return request.name != "SET" or "NX" not in request.args


class Wire:
    """The connections of a client that we use ourselves; of a sync client, whose calls answer at once."""

    def __init__(self, client: Any, library: str) -> None:
        errors = import_module(f"{library}.exceptions")
        self._refusal: type[Exception] = errors.ResponseError
        self._loss: type[Exception] = errors.ConnectionError
        # Loading, or a wrong password: another connection would hear the same.
        self._answers: tuple[type[Exception], ...] = (errors.BusyLoadingError, errors.AuthenticationError)
        self._pool = client.connection_pool
        self._callbacks: dict[str, Any] = dict(client.response_callbacks)
        self._idle: list[Any] = []
        self._pid = os.getpid()
        # Up to 5.2 of redis-py it must be told what for, and does not care; later ones mind being told.
        name = inspect.signature(type(self._pool).get_connection).parameters["command_name"]
        self._get_arguments = ("_",) if name.default is inspect.Parameter.empty else ()
        self._has_marks = hasattr(self._pool.connection_class, "should_reconnect")
        # Sentinel's pool closes what is idle when another server has become the primary, so that it must know.
        is_plain = type(self._pool).__name__ in ("ConnectionPool", "BlockingConnectionPool")
        self._most = min(KEPT, self._pool.max_connections // 2) if is_plain else 0

    def asking(self, request: Any) -> Steps:
        """Send a request, or several in one go, and return the reply, or the list of them."""
        try:
            return (yield from self._asking(request, by_digest))
        except Exception as error:
            if not is_no_script(error):
                raise
        # The server is new or was flushed. EVAL teaches it the script for the next time.
        return (yield from self._asking(request, by_source))

    def _asking(self, request: Any, arguments: Arguments) -> Steps:
        may_repeat = is_repeatable(request)
        connection = self._pop()
        if connection is not None and not may_repeat:
            yield self._give_back(connection)
            connection = None
        if connection is None:
            connection = yield self._get()
        try:
            return (yield from self._exchanging(connection, request, arguments))
        except self._loss as error:
            if not may_repeat or isinstance(error, self._answers):
                raise
        while self._idle:
            # They are as old as the one that was lost.
            yield self._discard(self._idle.pop())
        return (yield from self._exchanging((yield self._get()), request, arguments))

    def _exchanging(self, connection: Any, request: Any, arguments: Arguments) -> Steps:
        replies: list[Any] = []
        requests = request if type(request) is tuple else (request,)
        try:
            yield self._send(connection, _packed(connection, [arguments(one) for one in requests]))
            for one in requests:
                try:
                    reply = yield connection.read_response()
                except self._refusal as error:
                    reply = error
                else:
                    if type(one) is Command and (callback := self._callbacks.get(one.name)):
                        reply = callback(reply)
                replies.append(reply)
        except BaseException as error:
            closing = self._discard(connection)
            if closing is not None and not isinstance(error, GeneratorExit):
                yield closing
            raise
        giving = self._give(connection)
        if giving is not None:
            yield giving
        for reply in replies:
            if isinstance(reply, self._refusal):
                raise reply
        return replies if requests is request else replies[0]

    def _pop(self) -> Any:
        """Return a connection that is at hand, if there is one."""
        if self._pid != os.getpid():
            # After a fork they are the parent's.
            self._idle, self._pid = [], os.getpid()
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _give(self, connection: Any) -> Any:
        """Keep a connection at hand, or give it back."""
        if len(self._idle) < self._most and not (self._has_marks and connection.should_reconnect()):
            self._idle.append(connection)
            return None
        return self._pool.release(connection)

    def _get(self) -> Any:
        """Return a connection of the pool, which has looked whether it lives."""
        return self._pool.get_connection(*self._get_arguments)

    def _give_back(self, connection: Any) -> Any:
        return self._pool.release(connection)

    def _send(self, connection: Any, packed: list[bytes]) -> Any:
        return connection.send_packed_command(packed)

    def _discard(self, connection: Any) -> Any:
        """Close a connection, and let the pool open it again when it is needed."""
        try:
            connection.disconnect()
        finally:
            self._pool.release(connection)


class AsyncWire(Wire):
    """The connections of a client for asyncio, whose calls are awaited."""

    def _send(self, connection: Any, packed: list[bytes]) -> Any:
        # The client would start a timer for what a socket nearly always takes at once. Reading has one anyway.
        if connection.is_connected and sum(map(len, packed)) <= SMALL:
            connection._writer.write(b"".join(packed))
            return None
        return connection.send_packed_command(packed)

    async def _give_back(self, connection: Any) -> None:
        # The loop notices that a server has hung up when it comes round to that connection. Not every pool
        # asks for that.
        await asyncio.sleep(0)
        if connection.is_connected and connection._reader.at_eof():
            await connection.disconnect(nowait=True)
        await self._pool.release(connection)

    async def _discard(self, connection: Any) -> None:
        try:
            await connection.disconnect(nowait=True)
        finally:
            await self._pool.release(connection)


def wire_of(client: Any, kind: type[Wire]) -> Wire | None:
    """Return the wire of a client, one for all who use the client; None if it is not of a kind that we know."""
    wire: Wire | None = vars(client).get("_cacheops_wire")
    if wire is None and (library := _library(client)) is not None:
        wire = vars(client).setdefault("_cacheops_wire", kind(client, library))
    return wire


def _library(client: Any) -> str | None:
    """Return the library of a client that does nothing on its way to the socket but what its library does."""
    pool = getattr(client, "connection_pool", None)
    if pool is None or getattr(client, "connection", None) is not None:
        # A cluster's; or one that keeps to a single connection.
        return None
    found = {_defined_in(type(client), name) for name in ("execute_command", "parse_response", "pipeline")}
    found |= {_defined_in(type(pool), name) for name in ("get_connection", "release")}
    needed = ("send_packed_command", "read_response", "pack_commands", "disconnect")
    found |= {_defined_in(pool.connection_class, name) for name in needed}
    return found.pop() if len(found) == 1 and found <= set(LIBRARIES) else None


def _defined_in(cls: type, name: str) -> str | None:
    """Return the package of the class from which this one has a method."""
    for base in cls.__mro__:
        if name in vars(base):
            return base.__module__.partition(".")[0]
    return None


def _packed(connection: Any, commands: list[tuple[Any, ...]]) -> list[bytes]:
    """Return commands as they go over a wire."""
    if pack_command is None:
        packed: list[bytes] = connection.pack_commands(commands)
        return packed
    return [pack_command(commands[0])] if len(commands) == 1 else [b"".join(map(pack_command, commands))]
