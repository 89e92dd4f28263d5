"""Running flows against a client: the only place where commands meet a socket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import redis
from redis.exceptions import NoScriptError, RedisError

from .errors import BackendError, ConfigurationError
from .flows import Call, Flow, Request

T = TypeVar("T")


class SyncDriver:
    """Runs flows over a ``redis.Redis``, or a client that quacks like it.

    Every request of a flow may be sent twice with the effect of once, which is what makes it right to
    resend after a server has forgotten its scripts, and for the client to resend after a lost connection.
    """

    def __init__(self, client: redis.Redis) -> None:
        if client.connection_pool.connection_kwargs.get("decode_responses"):
            raise ConfigurationError("the client must not decode responses, got decode_responses=True: entries are bytes")
        self.client = client

    def run(self, flow: Flow[T]) -> T:
        """Return the result of a flow; raise BackendError when the server fails it."""
        try:
            request = next(flow)
            while True:
                request = flow.send(self.execute(request))
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]  # a generator's return value is untyped here
        except RedisError as error:
            raise BackendError(f"the cache server failed: {error}") from error

    def execute(self, request: Request | tuple[Request, ...]) -> Any:
        """Send what a flow yields in one round trip and return its reply, or the list of them."""
        if isinstance(request, tuple):
            if len(request) == 1:
                return [self.execute(request[0])]
            return self._with_scripts(lambda arguments: self._pipeline(request, arguments))
        if isinstance(request, Call):
            return self._with_scripts(lambda arguments: self.client.execute_command(*arguments(request)))
        return self.client.execute_command(request.name, *request.args)

    def _pipeline(self, requests: tuple[Request, ...], arguments: Arguments) -> list[Any]:
        pipeline = self.client.pipeline(transaction=False)
        for request in requests:
            pipeline.execute_command(*arguments(request))
        return pipeline.execute()

    def _with_scripts(self, send: Callable[[Arguments], Any]) -> Any:
        try:
            return send(by_digest)
        except NoScriptError:
            # The server is new or was flushed. EVAL teaches it the script for the next time.
            return send(by_source)


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
