"""Running flows against a client: the only place where commands meet a socket.

Both drivers answer a flow's requests until it returns, and throw into it whatever a request raises (what the
client raises becomes a `BackendError`), so that a flow's ``except`` and ``finally`` read as in any function.
They never abandon a flow half way.

A client is any that takes redis-py's ``execute_command`` and ``pipeline``: redis-py's own, for one server or a
cluster, Sentinel's, or valkey-py's. The connections of those that we know are used directly (`wires`), the
others, and clusters, are asked as their authors meant it. In a cluster a script's keys share a slot; only
reading spans several, and is asked in one go for each.

A request that a server refuses because it does not know the script has had no effect, and is sent once more.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator
from functools import partial
from typing import Any, TypeVar

import redis
import redis.asyncio

from .errors import BackendError, ConfigurationError
from .flows import Call, Command, Flow, Request, Work
from .wires import Arguments, AsyncWire, Wire, by_digest, by_source, is_no_script, wire_of

T = TypeVar("T")

PATIENCE = 0.5
"""Seconds for which a command may block, at most."""

CLIENT_ERRORS = frozenset({"RedisError", "RedisClusterException", "ValkeyError", "ValkeyClusterException"})
"""What clients raise. By name, for not every one of them is installed."""


class SyncDriver:
    """Runs flows over a ``redis.Redis``, or a client that quacks like it."""

    def __init__(self, client: redis.Redis | redis.RedisCluster) -> None:
        self.patience: float = patience(client)
        self.client: Any = client  # redis-py leaves execute_command without types
        self._wire = wire_of(client, Wire)

    def run(self, flow: Flow[T]) -> T:
        """Return the result of a flow, or raise what it raises."""
        return self._drive(flow, self._answer)

    def execute(self, request: Request | Work | tuple[Request, ...]) -> Any:
        """Send what a flow yields in one round trip and return its reply, or the list of them."""
        if self._wire is None or type(request) is Work:
            return self._drive(executing(self.client, request), _call)
        steps, value = self._wire.asking(request), None
        try:
            while True:
                value = steps.send(value)
        except StopIteration as stop:
            return stop.value

    def _answer(self, request: Any) -> Any:
        try:
            return self.execute(request)
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
        self._wire = wire_of(client, AsyncWire)

    async def run(self, flow: Flow[T]) -> T:
        """Return the result of a flow, or raise what it raises."""
        return await self._drive(flow, self._answer)

    async def execute(self, request: Request | Work | tuple[Request, ...]) -> Any:
        """Send what a flow yields in one round trip and return its reply, or the list of them."""
        if self._wire is None or type(request) is Work:
            return await self._drive(executing(self.client, request), _call)
        return await self._drive(self._wire.asking(request), _itself)

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


def _call(step: Callable[[], Any]) -> Any:
    return step()


def _itself(step: Any) -> Any:
    return step


def executing(client: Any, request: Any) -> Generator[Callable[[], Any], Any, Any]:
    """Send a request and return its reply; yields what a driver is to call and, if it is async, to wait for."""
    if isinstance(request, Work):
        return (yield request.function)
    if isinstance(request, tuple) and len(request) == 1:
        return [(yield from executing(client, request[0]))]
    if is_cluster(client) and isinstance(request, Command) and request.name in _SPREAD:
        return (yield from _SPREAD[request.name](client, request))
    try:
        return (yield partial(_send, client, request, by_digest))
    except Exception as error:
        if not is_no_script(error):
            raise
        # The server is new or was flushed. EVAL teaches it the script for the next time.
        return (yield partial(_send, client, request, by_source))


def _send(client: Any, request: Request | tuple[Request, ...], arguments: Arguments) -> Any:
    if isinstance(request, Command | Call):
        return client.execute_command(*arguments(request))
    pipeline = client.pipeline(transaction=False)
    for one in request:
        pipeline.execute_command(*arguments(one))
    return pipeline.execute()


def is_cluster(client: Any) -> bool:
    """Return whether keys are spread over servers behind this client."""
    return hasattr(client, "keyslot")


def _reading_all_slots(client: Any, request: Command) -> Generator[Callable[[], Any], Any, list[Any]]:
    slots: dict[int, list[str]] = {}
    for key in request.args:
        slots.setdefault(client.keyslot(key), []).append(key)
    commands = tuple(Command("MGET", tuple(keys)) for keys in slots.values())
    replies = yield partial(_send, client, commands, by_digest)
    found: dict[str, Any] = {}
    for keys, values in zip(slots.values(), replies, strict=True):
        found.update(zip(keys, values, strict=True))
    return [found[key] for key in request.args]


def _scanning_all_nodes(
    client: Any, request: Command
) -> Generator[Callable[[], Any], Any, tuple[int, list[bytes]]]:
    found: list[bytes] = []
    if hasattr(client, "initialize"):
        # An async client knows of no node before it has asked for the first time.
        yield client.initialize
    for node in client.get_primaries():
        cursor: Any = 0
        while True:
            arguments = ("SCAN", cursor, *request.args[1:])
            cursors, keys = yield partial(client.execute_command, *arguments, target_nodes=node)
            found += keys
            # One cursor for each node that was asked.
            cursor = next(iter(cursors.values())) if isinstance(cursors, dict) else cursors
            if not int(cursor):
                break
    return 0, found


_SPREAD = {"MGET": _reading_all_slots, "SCAN": _scanning_all_nodes}
"""Commands whose keys live on several nodes of a cluster."""


def failure(error: Exception, request: Any) -> Exception:
    """Return an error as flows know it: a client's as BackendError, any other, and the caller's own, as it is."""
    is_clients = any(kind.__name__ in CLIENT_ERRORS for kind in type(error).__mro__)
    if isinstance(request, Work) or not is_clients:
        return error
    return BackendError(f"the cache server failed: {error}")


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
