"""Who mends a circuit: a daemon thread for sync caches, an event loop's own timer and tasks for async ones.

Either begins when there is something to mend, tries at once and then again and again, and ends when there is nothing
left. It asks over a connection of its own, which does not wait for long: a server that comes back in the middle of a
question that it will never answer is to be found out soon. That goes for the clients of one server that we know. Any
other (a cluster's, Sentinel's, a class of the user's own) is asked as it is, with the patience that it has.

A mender holds its circuit only while it works. So caches that nobody has any more, and that owe nothing, leave nobody
behind who asks for a server which may never come back.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
import time
import weakref
from importlib import import_module
from typing import Any

from .circuit import Circuit
from .client_libraries import PLAIN_POOLS, library_of
from .drivers import AsyncDriver, SyncDriver

log: logging.Logger = logging.getLogger("cacheops")

PAUSE = 0.2
"""Seconds between one attempt and the next."""

HASTE = 0.5
"""Seconds for which an attempt waits for an answer, at most."""


class ThreadMender:
    """Mends in a thread."""

    def __init__(self, circuit: Circuit) -> None:
        self._circuit = weakref.ref(circuit)
        self.seen: float = time.monotonic()
        self._pid = os.getpid()
        self._stopped = threading.Event()

    def start(self) -> bool:
        """Begin; return whether that was possible: not when the program is ending."""
        if _is_ending:
            return False
        # What was registered last is called first: before the end of a server that was started before this.
        atexit.unregister(_end)
        atexit.register(_end)
        try:
            threading.Thread(target=self._work, name="cacheops-mender", daemon=True).start()
        except RuntimeError:
            return False
        return True

    def is_there(self) -> bool:
        """Tell whether it is this process's: after a fork, the thread is the parent's."""
        return self._pid == os.getpid()

    def stop(self) -> None:
        """End after the attempt that is being made."""
        self._stopped.set()

    def _work(self) -> None:
        while not (self._stopped.is_set() or _is_ending):
            self.seen, circuit = time.monotonic(), self._circuit()
            if circuit is None or not circuit.is_needed(self):
                break
            try:
                self._try(circuit)
            except Exception as error:
                # Whatever it is, the program goes on, and this with trying.
                log.debug("The cache server is still away: %s", error)
            del circuit
            self._stopped.wait(PAUSE)

    def _try(self, circuit: Circuit) -> None:
        hasty = hasty_client(circuit.client)
        try:
            outage = SyncDriver(circuit.client if hasty is None else hasty).run(circuit.asking())
        finally:
            if hasty is not None:
                hasty.connection_pool.disconnect()
        SyncDriver(circuit.client).run(circuit.settling(outage))


class TaskMender:
    """Mends on an event loop; between two attempts there is only a timer, which a loop drops at its end.

    What is owed when the loop ends stays with the cache, until that is used on another one.
    """

    def __init__(self, circuit: Circuit) -> None:
        self.seen: float = time.monotonic()
        self._circuit = weakref.ref(circuit)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.Handle | None = None
        self.task: asyncio.Task[None] | None = None

    def start(self) -> bool:
        """Begin; return whether that was possible: not while garbage is collected outside of a loop."""
        self._loop = asyncio._get_running_loop()
        if self._loop is not None:
            self._timer = self._loop.call_soon(self._begin)
        return self._loop is not None

    def is_there(self) -> bool:
        """Tell whether its loop is the one that runs."""
        return self._loop is asyncio._get_running_loop()

    def stop(self) -> None:
        """End, in the middle of an attempt too."""
        if self._timer is not None:
            self._timer.cancel()
        if self.task is not None:
            self.task.cancel()

    async def ended(self) -> None:
        """Wait until it has ended."""
        if self.task is not None:
            await asyncio.wait([self.task])

    def _begin(self) -> None:
        self.seen, circuit = time.monotonic(), self._circuit()
        if self._loop is not None and circuit is not None and circuit.is_needed(self):
            self.task = self._loop.create_task(self._try(circuit))
            self.task.add_done_callback(self._pause)

    def _pause(self, task: asyncio.Task[None]) -> None:
        self.task, circuit = None, self._circuit()
        if task.cancelled():
            # The loop is ending, or the cache was closed.
            if circuit is not None and circuit.mender is self:
                circuit.mender = None
        elif self._loop is not None:
            self._timer = self._loop.call_later(PAUSE, self._begin)

    async def _try(self, circuit: Circuit) -> None:
        hasty = hasty_client(circuit.client, ".asyncio")
        try:
            try:
                client = circuit.client if hasty is None else hasty
                outage = await AsyncDriver(client).run(circuit.asking())
            finally:
                if hasty is not None:
                    await hasty.connection_pool.disconnect()
            await AsyncDriver(circuit.client).run(circuit.settling(outage))
        except Exception as error:
            log.debug("The cache server is still away: %s", error)


def hasty_client(client: Any, module: str = "") -> Any:
    """Return a client of the same server that does not wait for long; None where we do not know how to make one.

    It is of the library's ``module``: that for asyncio, or itself.
    """
    library = library_of(client)
    if library is None or type(client.connection_pool).__name__ not in PLAIN_POOLS:
        return None
    pool, found = client.connection_pool, import_module(library + module)
    # What redis-py has added to the arguments is about the pool that they were for.
    arguments = {
        name: value
        for name, value in pool.connection_kwargs.items()
        if not name.startswith(("maint_notifications_", "orig_"))
    }
    arguments["retry"] = import_module(f"{library}{module}.retry").Retry(_no_backoff(library), 0)
    # Up to 5.x, redis-py takes no second one for a Unix socket, whose connecting does not wait anyway.
    for name in ("socket_timeout", *(() if "path" in arguments else ("socket_connect_timeout",))):
        arguments[name] = min(HASTE, arguments.get(name) or HASTE)
    hasty = found.ConnectionPool(connection_class=pool.connection_class, **arguments)
    return getattr(found, library.capitalize())(connection_pool=hasty)


def _no_backoff(library: str) -> Any:
    return import_module(f"{library}.backoff").NoBackoff()


_is_ending = False


def _end() -> None:
    # Servers may go before we do, and are not to be started anew.
    global _is_ending
    _is_ending = True
