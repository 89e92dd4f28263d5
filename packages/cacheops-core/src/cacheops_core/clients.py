"""Asking a client by its own ``execute_command`` and ``pipeline``: what works with every client.

`wires` do without that where they know the client. They tell which server has answered; of what is asked here,
that takes an effort, and in a cluster is not known.

Everything here is steps: a generator that yields what a call of the client has returned, which of an async one
is to be awaited, and is sent what came of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .errors import BackendError
from .flows import Call, Command, Request, Work
from .runs import WHO, run_of
from .wire_commands import (
    Arguments,
    Steps,
    by_digest,
    by_source,
    is_no_script,
    needs_run,
    raise_first,
    takes_run,
)

ATTEMPTS = 5
"""How often a request goes out at most whose server has become another one since it was asked for its run."""


def executing(client: Any, request: Any) -> Steps:
    """Send a request, or several, and return the reply, or the list of them; or do the caller's own work."""
    if isinstance(request, Work):
        return (yield request.function())
    if isinstance(request, tuple) and len(request) == 1:
        return [(yield from executing(client, request[0]))]
    if is_cluster(client):
        if isinstance(request, Command) and request.name in _SPREAD:
            return (yield from _SPREAD[request.name](client, request))
    elif any(map(needs_run, request if isinstance(request, tuple) else (request,))):
        return (yield from _telling(client, request))
    # Of a cluster's client we cannot tell which server it will ask: an unknown run, in which nothing is stored.
    try:
        return (yield _send(client, request, by_digest))
    except Exception as error:
        if not is_no_script(error):
            raise
        # The server is new or was flushed. EVAL teaches it the script for the next time.
        return (yield _send(client, request, by_source))


def _send(client: Any, request: Request | tuple[Request, ...], arguments: Arguments) -> Any:
    if isinstance(request, Command | Call):
        return client.execute_command(*arguments(request, b""))
    return _pipelined(client, [arguments(one, b"") for one in request]).execute()


def _telling(client: Any, request: Any) -> Steps:
    """Send requests to which it matters who answers, over whatever connection the client takes for them.

    What may be another connection each time may be one to another server. So every request goes out together
    with the question who answers it.
    """
    requests = request if isinstance(request, tuple) else (request,)
    arguments: Arguments = by_digest
    run = run_of((yield _replies(client, WHO))) if any(map(takes_run, requests)) else None
    for _ in range(ATTEMPTS):
        commands = [*WHO, *(arguments(one, run or b"") for one in requests)]
        replies = yield _replies(client, commands)
        answered, replies = run_of(replies[: len(WHO)]), replies[len(WHO) :]
        if run not in (None, answered):
            run = answered
        elif any(map(is_no_script, replies)) and arguments is by_digest:
            arguments = by_source
        else:
            raise_first(replies)
            replies = [
                (answered, reply) if isinstance(one, Command) and one.tells_run else reply
                for one, reply in zip(requests, replies, strict=True)
            ]
            return replies if isinstance(request, tuple) else replies[0]
    raise BackendError(f"behind the client {client!r} is another server each time")


def _replies(client: Any, commands: Iterable[tuple[Any, ...]]) -> Any:
    return _pipelined(client, commands).execute(raise_on_error=False)


def _pipelined(client: Any, commands: Iterable[tuple[Any, ...]]) -> Any:
    pipeline = client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    return pipeline


def is_cluster(client: Any) -> bool:
    """Return whether keys are spread over servers behind this client."""
    return hasattr(client, "keyslot")


def _reading_all_slots(client: Any, request: Command) -> Steps:
    slots: dict[int, list[str]] = {}
    for key in request.args:
        slots.setdefault(client.keyslot(key), []).append(key)
    commands = tuple(Command("MGET", tuple(keys)) for keys in slots.values())
    replies = yield _send(client, commands, by_digest)
    found: dict[str, Any] = {}
    for keys, values in zip(slots.values(), replies, strict=True):
        found.update(zip(keys, values, strict=True))
    values = [found[key] for key in request.args]
    return (b"", values) if request.tells_run else values


def _scanning_all_nodes(client: Any, request: Command) -> Steps:
    found: list[bytes] = []
    if hasattr(client, "initialize"):
        # An async client knows of no node before it has asked for the first time.
        yield client.initialize()
    for node in client.get_primaries():
        cursor: Any = 0
        while True:
            arguments = ("SCAN", cursor, *request.args[1:])
            cursors, keys = yield client.execute_command(*arguments, target_nodes=node)
            found += keys
            # One cursor for each node that was asked.
            cursor = next(iter(cursors.values())) if isinstance(cursors, dict) else cursors
            if not int(cursor):
                break
    return 0, found


_SPREAD = {"MGET": _reading_all_slots, "SCAN": _scanning_all_nodes}
"""Commands whose keys live on several nodes of a cluster."""
