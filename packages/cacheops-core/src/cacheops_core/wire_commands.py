"""Requests as the commands that go over a wire, and what their replies say of them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Any

from .flows import RUN, Call, Command, Request

Steps = Generator[Any, Any, Any]
"""Yields what the calls of a client return: of a sync one what they are for, of an async one what to await for it."""

Arguments = Callable[[Request, bytes], tuple[Any, ...]]


def by_digest(request: Request, run: bytes) -> tuple[Any, ...]:
    """Return a request as a command that names its script by digest, and the run of the server it goes to."""
    return _command(request, run, "EVALSHA")


def by_source(request: Request, run: bytes) -> tuple[Any, ...]:
    """Return a request as a command that brings its script along."""
    return _command(request, run, "EVAL")


def _command(request: Request, run: bytes, name: str) -> tuple[Any, ...]:
    if isinstance(request, Command):
        return (request.name, *request.args)
    script, args = request.script, request.args
    if script.takes_run:
        args = tuple(run if argument is RUN else argument for argument in args)
    return (name, script.sha if name == "EVALSHA" else script.source, len(request.keys), *request.keys, *args)


def needs_run(request: Request) -> bool:
    """Return whether it matters which run of which server a request gets its answer from."""
    return request.tells_run if isinstance(request, Command) else request.script.takes_run


def takes_run(request: Request) -> bool:
    """Return whether a request names the run of the server that it goes to."""
    return isinstance(request, Call) and request.script.takes_run


def is_no_script(error: BaseException) -> bool:
    """Return whether a server does not know a script by its digest."""
    return type(error).__name__ == "NoScriptError"


def is_repeatable(requests: Iterable[Request]) -> bool:
    """Return whether requests may be sent twice with the effect, and the answers, of once."""
    return all(
        one.script.is_repeatable if isinstance(one, Call) else one.name != "SET" or "NX" not in one.args
        for one in requests
    )


def raise_first(replies: Iterable[Any]) -> None:
    """Raise the first error among replies."""
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
