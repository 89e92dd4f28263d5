"""Running flows against a client: the only place where commands meet a socket.

Both drivers answer a flow's requests until it returns, and throw into it whatever a request raises (what the
client raises becomes a `BackendError`), so that a flow's ``except`` and ``finally`` read as in any function.
They never abandon a flow half way.

A client is any that takes redis-py's ``execute_command`` and ``pipeline``: redis-py's own, for one server or a
cluster, Sentinel's, or valkey-py's. The connections of those that we know are used directly (`wires` and
`cluster_wires`), the others are asked as their authors meant it (`clients`).

A request that a server refuses because it does not know the script has had no effect, and is sent once more.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import redis
import redis.asyncio

from .clients import executing, is_cluster
from .cluster_wires import KEYED, ClusterWire, cluster_wire_of
from .errors import BackendError, ConfigurationError
from .flows import Command, Flow, Request, Work
from .wire_commands import Steps, raise_first
from .wires import LOST, UNASKED, AsyncWire, Wire, wire_of

T = TypeVar("T")

LOSSES = frozenset(
    {"ClusterError", "ConnectionError", "RedisClusterException", "TimeoutError", "ValkeyClusterException"}
)
"""What clients raise that have got no answer, or only after they have tried for long. Among them are that a server is
still loading, and that it does not let us in, each of which has cost a connection."""

OURS = frozenset({"MaxConnectionsError"})
"""What they raise that says nothing about the server: too many of us ask at the same time."""

PATIENCE = 0.5
"""Seconds for which a command may block, at most."""

CLIENT_ERRORS = frozenset({"RedisError", "RedisClusterException", "ValkeyError", "ValkeyClusterException"})
"""What clients raise. By name, for not every one of them is installed."""


class SyncDriver:
    """Runs flows over a ``redis.Redis``, or a client that quacks like it."""

    def __init__(self, client: redis.Redis | redis.RedisCluster) -> None:
        self.patience: float = patience(client)
        self.client: Any = client  # redis-py leaves execute_command without types
        self._wire = _wire_of(client, Wire)

    def run(self, flow: Flow[T]) -> T:
        """Return the result of a flow, or raise what it raises."""
        return self._drive(flow, self._answer)

    def execute(self, request: Request | Work | tuple[Request, ...]) -> Any:
        """Send what a flow yields in one round trip and return its reply, or the list of them."""
        wire = self._wire
        if type(wire) is not Wire or type(request) is Work:
            steps = _steps(self.client, wire, request)
        else:
            if type(request) is Command and request.tells_run:
                reply = wire.reading(request)
                if reply is not UNASKED and reply is not LOST:
                    return reply
            else:
                requests = request if type(request) is tuple else (request,)
                reply = wire.exchanging(requests)  # type: ignore[arg-type]  # no Work is among them
                if reply is not UNASKED and reply is not LOST:
                    raise_first(reply)
                    return reply if requests is request else reply[0]
            steps = wire.asking_anew(request) if reply is LOST else wire.asking(request)
        value = None
        try:
            while True:
                value = steps.send(value)
        except StopIteration as stop:
            return stop.value

    def ask(self, request: Command) -> Any:
        """Return the reply to a hit's one question, or None where a flow has to ask it; raise what `run` would.

        To make a flow, and every flow that it is in, return such a reply costs as much as to ask for it.
        """
        wire = self._wire
        if type(wire) is not Wire:
            return None
        reply = self._answer(request, wire.reading)
        return None if reply is UNASKED or reply is LOST else reply

    def _answer(self, request: Any, ask: Callable[[Any], Any] | None = None) -> Any:
        try:
            return (ask or self.execute)(request)
        except Exception as error:
            failed = failure(error, request)
            if failed is error:
                raise
            raise failed from error

    def _drive(self, steps: Generator[Any, Any, T], answer: Callable[[Any], Any]) -> T:
        try:
            step = next(steps)
            while True:
                try:
                    reply = answer(step)
                except BaseException as error:  # a cancelled flow gives back what it holds
                    step = steps.throw(error)
                else:
                    step = steps.send(reply)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]  # a generator's return value is untyped here


class AsyncDriver:
    """Runs the same flows over a ``redis.asyncio.Redis``."""

    def __init__(self, client: redis.asyncio.Redis | redis.asyncio.RedisCluster) -> None:
        self.patience: float = patience(client)
        self.client: Any = client
        self._wire = _wire_of(client, AsyncWire)

    async def run(self, flow: Flow[T]) -> T:
        """Return the result of a flow, or raise what it raises."""
        return await self._drive(flow, self._answer)

    async def execute(self, request: Request | Work | tuple[Request, ...]) -> Any:
        """Send what a flow yields in one round trip and return its reply, or the list of them."""
        return await self._drive(_steps(self.client, self._wire, request), _itself)

    async def _answer(self, request: Any) -> Any:
        try:
            return await self.execute(request)
        except Exception as error:
            failed = failure(error, request)
            if failed is error:
                raise
            raise failed from error

    async def _drive(self, steps: Generator[Any, Any, T], answer: Callable[[Any], Any]) -> T:
        try:
            step = next(steps)
            while True:
                try:
                    reply = answer(step)
                    if inspect.isawaitable(reply):
                        reply = await reply
                except BaseException as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(reply)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]  # as above


def _itself(step: Any) -> Any:
    return step


def _wire_of(client: Any, kind: type[Wire]) -> Wire | ClusterWire | None:
    return cluster_wire_of(client, kind) if is_cluster(client) else wire_of(client, kind)


def _steps(client: Any, wire: Wire | ClusterWire | None, request: Any) -> Steps:
    if wire is None or type(request) is Work:
        return executing(client, request)
    return wire.asking(request)


def failure(error: Exception, request: Any) -> Exception:
    """Return an error as flows know it: a client's as BackendError, any other, and the caller's own, as it is."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(request, Work) or kinds.isdisjoint(CLIENT_ERRORS):
        return error
    failed = BackendError(f"the cache server failed: {error}")
    if not kinds.isdisjoint(LOSSES) and kinds.isdisjoint(OURS):
        failed.unanswered = question_about(request)
    return failed


def question_about(request: Request | tuple[Request, ...]) -> tuple[Command, ...]:
    """Return a harmless question to the nodes that a request went to."""
    keys: dict[Any, None] = {}
    for one in request if isinstance(request, tuple) else (request,):
        if isinstance(one, Command):
            keys.update(
                dict.fromkeys(one.args if one.name == "MGET" else one.args[:1] if one.name in KEYED else ())
            )
        else:
            keys.update(dict.fromkeys(one.keys[:1]))
    return tuple(Command("EXISTS", (key,)) for key in keys) or (Command("PING", ()),)


def patience(client: Any) -> float:
    """Return for how long a command may block before this client gives it up; check that it reads bytes."""
    options = _options(client)
    if getattr(getattr(client, "connection_pool", client), "cache", None) is not None:
        raise ConfigurationError(
            "the client must ask the server each time, got one with a cache of its own (cache_config): what it "
            "remembers may have changed"
        )
    if options.get("decode_responses"):
        raise ConfigurationError(
            "the client must not decode responses, got decode_responses=True: entries are bytes"
        )
    timeout = options.get("socket_timeout")
    return PATIENCE if timeout is None else min(PATIENCE, timeout / 2)


def _options(client: Any) -> Any:
    """Return the arguments with which a client makes its connections."""
    if is_cluster(client):
        return getattr(client, "connection_kwargs", None) or client.nodes_manager.connection_kwargs
    return client.connection_pool.connection_kwargs
