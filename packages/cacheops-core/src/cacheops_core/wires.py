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
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from .client_libraries import PLAIN_POOLS, library_of
from .confirming import Confirm, by_sentinels
from .flows import Command, Request
from .runs import REFRESH, WHO, Known, run_of
from .wire_commands import (
    Arguments,
    Steps,
    by_digest,
    by_source,
    is_no_script,
    is_repeatable,
    needs_run,
    raise_first,
    takes_run,
)

try:
    # By its name: where it is not installed, checkers of types know nothing of it.
    pack_command: Callable[[Any], bytes] | None = import_module("hiredis").pack_command
except (ImportError, AttributeError):
    pack_command = None

KEPT = 16
"""Connections that are kept at hand. Whoever needs more at the same time goes through the pool for the rest."""

SMALL = 16_384
"""Bytes that are handed to an event loop's socket without waiting until they have left."""

UNASKED: Any = object()
"""Stands for the reply to what has not been sent."""

LOST: Any = object()
"""Stands for a reply that was lost with its connection."""


@dataclass(slots=True)
class Exchange:
    """What has been sent over a connection and not been answered yet."""

    connection: Any
    requests: Sequence[Request]
    known: Known | None
    """The run that the requests name, or whose answers they want."""
    began: float
    """When it was about to be sent."""
    is_asked: bool
    """Whether the answers begin with those to "who are you?"."""
    is_sure: bool
    """Whether it has been confirmed a short while ago that this is the server to ask."""


class Wire:
    """The connections of a pool that we use ourselves; of a sync client, whose calls answer at once."""

    def __init__(self, pool: Any, callbacks: Mapping[str, Any], library: str) -> None:
        errors = import_module(f"{library}.exceptions")
        self.refusal: type[Exception] = errors.ResponseError
        """What a server says no with; the connection is as good as before."""
        self.loss: type[Exception] = errors.ConnectionError
        """What a connection ends with."""
        # Loading, or a wrong password: another connection would hear the same.
        self._answers: tuple[type[Exception], ...] = (errors.BusyLoadingError, errors.AuthenticationError)
        self._pool = pool
        self._callbacks: dict[str, Any] = dict(callbacks)
        self._idle: list[Any] = []
        self._runs: dict[Any, Known] = {}
        self._pid = os.getpid()
        # Up to 5.2 of redis-py it must be told what for, and does not care; later ones mind being told.
        name = inspect.signature(type(pool).get_connection).parameters.get("command_name")
        self._get_arguments = ("_",) if name and name.default is inspect.Parameter.empty else ()
        self._has_marks = hasattr(pool.connection_class, "should_reconnect")
        # Sentinel's pool closes what is idle when another server has become the primary, so that it must know.
        is_plain = type(pool).__name__ in PLAIN_POOLS
        self._most = min(KEPT, pool.max_connections // 2) if is_plain else 0
        self.confirm: Confirm | None = by_sentinels(pool, self.loss)
        """Makes sure that a server has not been replaced, where it may be without noticing."""

    def reading(self, request: Command) -> Any:
        """Return the reply to a hit's one question, with the run that gave it, if a connection at hand will do.

        That is what `asking` does, where there is nothing to learn and nothing goes wrong, in half the time. All
        else is left to it, for `UNASKED`, or to `asking_anew`, for `LOST`. Only for a sync client, and for what may
        be asked twice.
        """
        if not self._idle or self._pid != os.getpid():
            return UNASKED
        try:
            connection = self._idle.pop()
        except IndexError:  # another thread was faster
            return UNASKED
        known = self._runs.get(connection)
        if known is None or known.socket is not connection._sock or known.until < time.monotonic():
            self._idle.append(connection)
            return UNASKED
        try:
            connection.send_packed_command(_packed(connection, [(request.name, *request.args)]))
            if known.socket is not connection._sock:
                raise self.loss("the connection has been made anew, to a server that may be another")
            reply = connection.read_response()
        except self.refusal:
            self._keep(connection)
            raise
        except BaseException as error:
            return self._lost(connection, error)
        self._keep(connection)
        return known.run, reply

    def exchanging(self, requests: Sequence[Request]) -> Any:
        """Return the replies to requests, refusals among them, if a connection at hand will do.

        It is to `asking` what `reading` is, for anything else that may be asked twice.
        """
        if not self._idle or self._pid != os.getpid() or not is_repeatable(requests):
            return UNASKED
        try:
            connection = self._idle.pop()
        except IndexError:  # another thread was faster
            return UNASKED
        known = None
        if any(map(needs_run, requests)):
            known = self._runs.get(connection)
            if known is None or known.socket is not connection._sock or known.until < time.monotonic():
                self._idle.append(connection)
                return UNASKED
        run = b"" if known is None else known.run
        replies = []
        try:
            connection.send_packed_command(_packed(connection, [by_digest(one, run) for one in requests]))
            if known is not None and known.socket is not connection._sock:
                raise self.loss("the connection has been made anew, to a server that may be another")
            for one in requests:
                try:
                    replies.append(self._told(one, connection.read_response(), known))
                except self.refusal as error:
                    replies.append(error)
        except BaseException as error:
            return self._lost(connection, error)
        self._keep(connection)
        # What a server does not know by its digest has to be brought along.
        return UNASKED if any(map(is_no_script, replies)) else replies

    def _lost(self, connection: Any, error: BaseException) -> Any:
        """Close a connection whose reply is lost, and say so; raise what another one would only hear again."""
        self._runs.pop(connection, None)
        self._discard(connection)
        if not isinstance(error, self.loss) or isinstance(error, self._answers):
            raise error
        while self._idle:
            # They are as old as the one that was lost.
            self._discard(self._idle.pop())
        return LOST

    def _told(self, request: Request, reply: Any, known: Known | None) -> Any:
        """Return a reply as a flow gets it."""
        if type(request) is Command:
            if request.tells_run and known is not None:
                return known.run, reply
            if callback := self._callbacks.get(request.name):
                return callback(reply)
        return reply

    def _keep(self, connection: Any) -> None:
        if len(self._idle) < self._most and not (self._has_marks and connection.should_reconnect()):
            self._idle.append(connection)
        else:
            self._pool.release(connection)

    def asking(self, request: Any) -> Steps:
        """Send a request, or several in one go, and return the reply, or the list of them."""
        requests = request if type(request) is tuple else (request,)
        replies = yield from self._asking(requests, by_digest)
        if any(map(is_no_script, replies)):
            # The server is new or was flushed. EVAL teaches it the script for the next time.
            replies = yield from self._asking(requests, by_source)
        raise_first(replies)
        return replies if requests is request else replies[0]

    def _asking(self, requests: Sequence[Request], arguments: Arguments) -> Steps:
        may_repeat = is_repeatable(requests)
        connection = yield from self.taking(may_repeat)
        try:
            return (yield from self.receiving((yield from self.sending(connection, requests, arguments))))
        except self.loss as error:
            if not may_repeat or isinstance(error, self._answers):
                raise
        while self._idle:
            # They are as old as the one that was lost.
            yield self._discard(self._idle.pop())
        return (yield from self._over_another(requests, arguments))

    def asking_anew(self, request: Any) -> Steps:
        """Send what `asking` sends over a connection that has just been looked at, after its reply was lost."""
        requests = request if type(request) is tuple else (request,)
        replies = yield from self._over_another(requests, by_digest)
        if any(map(is_no_script, replies)):
            replies = yield from self._over_another(requests, by_source)
        raise_first(replies)
        return replies if requests is request else replies[0]

    def _over_another(self, requests: Sequence[Request], arguments: Arguments) -> Steps:
        connection = yield self._get()
        return (yield from self.receiving((yield from self.sending(connection, requests, arguments))))

    def releasing(self, connection: Any) -> Steps:
        """Keep a connection at hand, or give it back."""
        if len(self._idle) < self._most and not (self._has_marks and connection.should_reconnect()):
            self._idle.append(connection)
        else:
            yield self._pool.release(connection)

    def taking(self, may_repeat: bool) -> Steps:
        """Return a connection, of whose life we are sure if the request must not be repeated."""
        if self._pid != os.getpid():
            # After a fork they are the parent's.
            self._idle, self._runs, self._pid = [], {}, os.getpid()
        try:
            connection = self._idle.pop()
        except IndexError:
            return (yield self._get())
        if may_repeat:
            return connection
        yield self._give_back(connection)
        return (yield self._get())

    def sending(self, connection: Any, requests: Sequence[Request], arguments: Arguments) -> Steps:
        """Send requests over a connection, which is closed if that fails; return the exchange."""
        try:
            known, is_asked, is_sure, began = None, False, True, time.monotonic()
            if self.confirm is not None or any(map(needs_run, requests)):
                known = self._runs.get(connection)
                if known is None or known.socket is not self._socket(connection):
                    known, is_sure = None, False
                    if any(map(takes_run, requests)):
                        known = yield from self._learning(connection)
                is_asked = known is None or known.until < began
            run = b"" if known is None else known.run
            commands = [arguments(one, run) for one in requests]
            yield self._send(connection, _packed(connection, [*WHO, *commands] if is_asked else commands))
            if known is not None and known.socket is not self._socket(connection):
                raise self.loss("the connection has been made anew, to a server that may be another")
            return Exchange(connection, requests, known, began, is_asked, is_sure and not is_asked)
        except BaseException as error:
            yield from self.giving_up(connection, error)
            raise

    def receiving(self, exchange: Exchange) -> Steps:
        """Return the replies of an exchange, refusals among them; the connection is closed if that fails."""
        connection, known = exchange.connection, exchange.known
        replies: list[Any] = []
        try:
            if exchange.is_asked:
                known = yield from self._learned(connection, exchange.began)
                if exchange.known is not None and known.run != exchange.known.run:
                    raise self.loss("the server has become another one")
            for one in exchange.requests:
                try:
                    reply = yield connection.read_response()
                except self.refusal as error:
                    reply = error
                else:
                    reply = self._told(one, reply, known)
                replies.append(reply)
            if self.confirm is not None and known is not None:
                is_sure = exchange.is_sure and time.monotonic() <= known.until
                if not is_sure and all(isinstance(reply, Exception) for reply in replies):
                    # Nothing has been done, and maybe because somebody else is to be asked for it.
                    self._runs.pop(connection, None)
                elif not is_sure:
                    yield from self.confirm(connection, exchange.requests)
        except BaseException as error:
            yield from self.giving_up(connection, error)
            raise
        yield from self.releasing(connection)
        return replies

    def giving_up(self, connection: Any, error: BaseException) -> Steps:
        """Close a connection in which unread answers may be left."""
        self._runs.pop(connection, None)
        closing = self._discard(connection)
        if closing is not None and not isinstance(error, GeneratorExit):
            yield closing

    def _learning(self, connection: Any) -> Steps:
        """Ask who answers over a connection."""
        began = time.monotonic()
        yield self._send(connection, _packed(connection, WHO))
        return (yield from self._learned(connection, began))

    def _learned(self, connection: Any, began: float) -> Steps:
        replies = []
        for _ in WHO:
            try:
                replies.append((yield connection.read_response()))
            except self.refusal as error:
                replies.append(error)
        known = Known(self._socket(connection), run_of(replies), began + REFRESH)
        self._runs[connection] = known
        return known

    def saying(self, connection: Any, *command: Any) -> Steps:
        """Send one command over a connection that nobody else has, and return the reply."""
        yield self._send(connection, _packed(connection, [command]))
        return (yield connection.read_response())

    def saying_once(self, *command: Any) -> Steps:
        """Send one command, over a connection that has been looked at, and return the reply."""
        connection = yield from self.taking(may_repeat=False)
        try:
            reply = yield from self.saying(connection, *command)
        except self.refusal:
            yield from self.releasing(connection)
            raise
        except BaseException as error:
            yield from self.giving_up(connection, error)
            raise
        yield from self.releasing(connection)
        return reply

    def _get(self) -> Any:
        """Return a connection of the pool, which has looked whether it lives."""
        return self._pool.get_connection(*self._get_arguments)

    def _give_back(self, connection: Any) -> Any:
        return self._pool.release(connection)

    def _socket(self, connection: Any) -> Any:
        """Return what is another object as soon as the connection is made anew."""
        return connection._sock

    def _send(self, connection: Any, packed: list[bytes]) -> Any:
        return connection.send_packed_command(packed)

    def _discard(self, connection: Any) -> Any:
        """Close a connection, and let the pool open it again when it is needed."""
        try:
            connection.disconnect()
        finally:
            self._pool.release(connection)


class AsyncWire(Wire):
    """The connections of a pool for asyncio, whose calls are awaited."""

    def _socket(self, connection: Any) -> Any:
        return connection._writer

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
    wire: Wire | None = getattr(client, "_cacheops_wire", None)
    if wire is None and (library := library_of(client)) is not None:
        wire = kind(client.connection_pool, client.response_callbacks, library)
        wire = vars(client).setdefault("_cacheops_wire", wire)
    return wire


def _packed(connection: Any, commands: list[tuple[Any, ...]]) -> list[bytes]:
    """Return commands as they go over a wire."""
    if pack_command is None:
        packed: list[bytes] = connection.pack_commands(commands)
        return packed
    return [pack_command(commands[0])] if len(commands) == 1 else [b"".join(map(pack_command, commands))]
