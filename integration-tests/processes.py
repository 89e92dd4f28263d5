"""Processes of the project: each sets Django up from an environment and then does what it is told.

An `Actor` can be told to wait at a *moment*, such as right before it stores an entry, so that a test decides what
happens in between. Moments are named by what the cache sends then: ``("before", "SET")``, ``("after", "fence")``.
"""

import json
import multiprocessing
import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from databases import Description

spawning = multiprocessing.get_context("spawn")

PATIENCE = 60.0
"""Seconds after which a process that does not answer has failed its test."""

Moment = tuple[str, str]
Environment = dict[str, str]


def environment(database: Description, redis_url: str, prefix: str = "", **settings: Any) -> Environment:
    """Return what a process of the project needs to know; settings that are given take the place of the project's."""
    return {
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "PROJECT_DATABASE": json.dumps(database),
        "PROJECT_REDIS": redis_url,
        "PROJECT_PREFIX": prefix,
        "PROJECT_SETTINGS": json.dumps(settings),
    }


def set_up(environ: Environment) -> None:
    """Make this process one of the project."""
    import django

    os.environ.update(environ)
    django.setup()


def create_tables() -> None:
    """Create the tables of the project."""
    from django.core.management import call_command

    call_command("migrate", run_syncdb=True, verbosity=0)


class Failed(Exception):
    """What an actor was told to do has raised; the message is its traceback."""


class Actor:
    """A process that does one thing after another, and can be held or killed in the middle of one."""

    def __init__(self, environ: Environment) -> None:
        self._pipe, theirs = spawning.Pipe()
        self.process = spawning.Process(target=_obey, args=(environ, theirs), daemon=True)
        self.process.start()
        theirs.close()
        self.is_idle = True

    def do(self, function: Callable[..., Any], *args: Any) -> Any:
        """Have a function of an importable module called, and return its result."""
        self.begin(function, *args)
        return self.result()

    def begin(self, function: Callable[..., Any], *args: Any) -> None:
        """Have a function called, and do not wait for it."""
        self._pipe.send((function, args))
        self.is_idle = False

    def result(self) -> Any:
        """Wait for what was begun, and return its result."""
        kind, value = self._receive()
        self.is_idle = kind != "held"
        if kind == "raised":
            raise Failed(value)
        assert kind == "returned", f"the process is held at {value}"
        return value

    def hold(self, moment: Moment) -> None:
        """Let it wait when it next comes to a moment, which happens once."""
        self.do(_hold_at, moment)

    def wait_until_held(self) -> Moment:
        """Wait until it has come to the moment, and return which."""
        kind, moment = self._receive()
        assert kind == "held", f"the process came to its end without being held: {moment}"
        return moment  # type: ignore[no-any-return]

    def go_on(self) -> Any:
        """Let a process that is held go on, and return the result of what it was doing."""
        self._pipe.send("go on")
        return self.result()

    def kill(self) -> None:
        """End it as a crash would, and wait until it is gone."""
        self.is_idle = False
        self.process.kill()
        self.process.join()
        self._pipe.close()

    def _receive(self) -> tuple[str, Any]:
        assert self._pipe.poll(PATIENCE), "the process does not answer"
        return self._pipe.recv()  # type: ignore[no-any-return]


class Company:
    """Actors of one project. Those that a test has left idle play again in the next one."""

    def __init__(self, environ: Environment) -> None:
        self._environ = environ
        self._idle: list[Actor] = []
        self._busy: list[Actor] = []

    def actor(self) -> Actor:
        """Return an actor that remembers nothing."""
        actor = self._idle.pop() if self._idle else Actor(self._environ)
        self._busy.append(actor)
        return actor

    def rest(self) -> None:
        """End the actors that were left in the middle of something, and let the others forget what they did."""
        for actor in self._busy:
            if actor.is_idle:
                actor.do(_forget)
                self._idle.append(actor)
            else:
                actor.kill()
        self._busy.clear()

    def dismiss(self) -> None:
        """End them all."""
        for actor in self._idle + self._busy:
            actor.kill()


@contextmanager
def company(environ: Environment) -> Iterator[Company]:
    """Yield actors that end with the block."""
    made = Company(environ)
    try:
        yield made
    finally:
        made.dismiss()


# In the actor's process

_orders: Connection
_held_at: Moment | None = None


def _obey(environ: Environment, orders: Connection) -> None:
    global _orders
    _orders = orders
    set_up(environ)
    while True:
        try:
            function, args = orders.recv()
        except EOFError:
            return
        try:
            orders.send(("returned", function(*args)))
        except Exception:
            orders.send(("raised", traceback.format_exc()))


def _forget() -> None:
    """Begin with a new cache and a new connection."""
    global _held_at
    from django.db import connections

    from cacheops_django import conf

    _held_at = None
    connections.close_all()
    conf.reset()


def _hold_at(moment: Moment) -> None:
    """Watch what the cache of this process sends."""
    global _held_at
    from cacheops_django import caches

    driver = caches.current().driver
    if "execute" not in driver.__dict__:
        execute = driver.execute
        driver.execute = lambda request: _watch(execute, request)  # type: ignore[method-assign]
    _held_at = moment


def _watch(execute: Callable[[Any], Any], request: Any) -> Any:
    name = name_of(request)
    wait_if_held(("before", name))
    reply = execute(request)
    wait_if_held(("after", name))
    return reply


def wait_if_held(moment: Moment) -> None:
    """Come to a moment, which is one of those that the cache comes to itself or one of the test's own."""
    global _held_at
    if moment == _held_at:
        _held_at = None
        _orders.send(("held", moment))
        _orders.recv()


def name_of(request: Any) -> str:
    """Return the name of the script that a flow asks for, or of the command if it is none."""
    requests = request if isinstance(request, tuple) else (request,)
    # Where stamps are acquired in the trip that asks for the entry, that is the one.
    one = next((one for one in requests if hasattr(one, "script")), requests[0])
    script = getattr(one, "script", None)
    return script.name if script else getattr(one, "name", type(one).__name__)  # type: ignore[no-any-return]
