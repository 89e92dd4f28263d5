"""Running flows against a client: the only place where commands meet a socket.

Both drivers answer a flow's requests until it returns, and throw into it whatever a request raises (what the
client raises becomes a `BackendError`), so that a flow's ``except`` and ``finally`` read as in any function.
They never abandon a flow half way.

Every request of a flow may be sent twice with the effect of once. That makes it right to resend after a
server has forgotten its scripts, and for the client to resend after a lost connection. (The exception is
``incr``, which then counts twice.)
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import redis
import redis.asyncio
from redis.exceptions import NoScriptError, RedisError

from .errors import BackendError, ConfigurationError
from .flows import Call, Flow, Request, Work

T = TypeVar("T")

PATIENCE = 0.5
"""Seconds for which a command may block, at most."""


class SyncDriver:
    """Runs flows over a ``redis.Redis``, or a client that quacks like it."""

    def __init__(self, client: redis.Redis) -> None:
        self.patience = patience(client)
        self.client: Any = client  # redis-py leaves execute_command without types

    def run(self, flow: Flow[T]) -> T:
        """Return the result of a flow, or raise what it raises."""
        try:
            request = next(flow)
            while True:
                try:
                    reply = self.execute(request)
                except BaseException as error:  # a cancelled flow gives back what it holds
                    request = flow.throw(failure(error))
                else:
                    request = flow.send(reply)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]  # a generator's return value is untyped here

    def execute(self, request: Request | Work | tuple[Request, ...]) -> Any:
        """Send what a flow yields in one round trip and return its reply, or the list of them."""
        if isinstance(request, Work):
            return request.function()
        try:
            return self._send(request, by_digest)
        except NoScriptError:
            # The server is new or was flushed. EVAL teaches it the script for the next time.
            return self._send(request, by_source)

    def _send(self, request: Request | tuple[Request, ...], arguments: Arguments) -> Any:
        if not isinstance(request, tuple):
            return self.client.execute_command(*arguments(request))
        if len(request) == 1:
            return [self.client.execute_command(*arguments(request[0]))]
        pipeline = self.client.pipeline(transaction=False)
        for one in request:
            pipeline.execute_command(*arguments(one))
        return pipeline.execute()


class AsyncDriver:
    """Runs the same flows over a ``redis.asyncio.Redis``."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self.patience = patience(client)
        self.client: Any = client  # redis-py leaves execute_command without types

    async def run(self, flow: Flow[T]) -> T:
        """Return the result of a flow, or raise what it raises."""
        try:
            request = next(flow)
            while True:
                try:
                    reply = await self.execute(request)
                except BaseException as error:
                    request = flow.throw(failure(error))
                else:
                    request = flow.send(reply)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]  # as above

    async def execute(self, request: Request | Work | tuple[Request, ...]) -> Any:
        """Send what a flow yields in one round trip and return its reply, or the list of them."""
        if isinstance(request, Work):
            result = request.function()
            return await result if inspect.isawaitable(result) else result
        try:
            return await self._send(request, by_digest)
        except NoScriptError:
            return await self._send(request, by_source)

    async def _send(self, request: Request | tuple[Request, ...], arguments: Arguments) -> Any:
        if not isinstance(request, tuple):
            return await self.client.execute_command(*arguments(request))
        if len(request) == 1:
            return [await self.client.execute_command(*arguments(request[0]))]
        pipeline = self.client.pipeline(transaction=False)
        for one in request:
            pipeline.execute_command(*arguments(one))
        return await pipeline.execute()


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


def failure(error: BaseException) -> BaseException:
    """Return an error as flows know it: a client's as BackendError, any other as it is."""
    if not isinstance(error, RedisError):
        return error
    failed = BackendError(f"the cache server failed: {error}")
    failed.__cause__ = error
    return failed


def patience(client: Any) -> float:
    """Return for how long a command may block before this client gives it up; check that it reads bytes."""
    options = client.connection_pool.connection_kwargs
    if options.get("decode_responses"):
        raise ConfigurationError(
            "the client must not decode responses, got decode_responses=True: entries are bytes"
        )
    timeout = options.get("socket_timeout")
    return PATIENCE if timeout is None else min(PATIENCE, timeout / 2)
