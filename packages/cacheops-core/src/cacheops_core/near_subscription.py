"""What near caches are told: one connection for each client, on which the server says what has gone.

A sync client's is listened to by a daemon thread, an async client's by a task on its event loop. Either begins when
the first near cache needs it, and ends when there is none left. It takes one connection of the client's pool.

Near caches are open from the moment at which the server confirms their channel until anything fails. A connection
that is silent is asked for a sign of life. A lost one is made again, after a pause that grows.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import random
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from redis.backoff import NoBackoff

from .drivers import AsyncDriver, SyncDriver
from .flows import Flow, Work, channel
from .near import Near

log: logging.Logger = logging.getLogger("cacheops")

TURN = 0.5
"""Seconds after which a listener looks up: whether it is still wanted, and by whom else."""

SILENCE = 4
"""Turns without a word after which the server is asked for one; after as many again it counts as gone."""

LONGEST_PAUSE = 30.0
"""Seconds between attempts to connect, at most."""


class Subscription:
    """What the near caches over one client are told."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.pubsub: Any = None
        """The connection, while there is one."""
        self._nears: weakref.WeakSet[Near] = weakref.WeakSet()
        self._confirmed: set[str] = set()
        self._changing = threading.RLock()
        self._failures = 0

    def join(self, near: Near) -> None:
        """Have a near cache told: it is opened as soon as it will be."""
        with self._changing:
            self._nears.add(near)
            near.subscription = self
            self._start()
            if channel(near.prefix) in self._confirmed:
                near.open()

    def leave(self, near: Near) -> None:
        """Tell a near cache no more, and close it."""
        with self._changing:
            self._nears.discard(near)
            near.close()

    def _start(self) -> None:
        raise NotImplementedError

    def _sleep(self, seconds: float) -> Any:
        raise NotImplementedError

    def listening(self) -> Flow[None]:
        """Pass on what the server tells, for as long as anybody wants to know."""
        while not _is_ending and self._wanted():
            try:
                yield from self._listening_once()
            except Exception as error:
                # Whatever it is, the program goes on without near caches, and this with trying.
                if _is_ending or not self._wanted():
                    break
                if not self._failures:
                    log.warning("Near caches are off, as nobody tells them what has changed: %s", error)
                self._failures += 1
                yield Work(partial(self._sleep, self._pause()))

    def _listening_once(self) -> Flow[None]:
        pubsub = self.pubsub = self.client.pubsub()
        names: dict[bytes, str] = {}
        silent = 0
        try:
            # Names only: who holds a near cache over the yield below keeps alive what nobody else has any more.
            while not _is_ending and (wanted := frozenset(self._wanted())):
                if new := wanted.difference(names.values()):
                    names |= {pubsub.encoder.encode(name): name for name in new}
                    yield Work(partial(pubsub.subscribe, *new))
                with _noticing_loss(pubsub.connection):
                    message = yield Work(partial(pubsub.get_message, timeout=TURN))
                silent = 0 if message else silent + 1
                if message:
                    self._hear(message["type"], names.get(message["channel"], ""), message["data"])
                elif silent == SILENCE:
                    yield Work(pubsub.ping)
                elif silent == 2 * SILENCE:
                    raise TimeoutError(f"no sign of life from the server for {SILENCE * TURN:g} seconds")
        finally:
            self._close()
            self.pubsub = None
            yield Work(getattr(pubsub, "aclose", pubsub.close))

    def _hear(self, kind: str, name: str, data: bytes) -> None:
        if kind == "subscribe":
            self._open(name)
        elif kind == "message":
            for near in self._wanted().get(name, ()):
                near.hear(data)

    def _wanted(self) -> dict[str, list[Near]]:
        with self._changing:
            wanted: dict[str, list[Near]] = {}
            for near in self._nears:
                wanted.setdefault(channel(near.prefix), []).append(near)
            return wanted

    def _open(self, name: str) -> None:
        with self._changing:
            self._confirmed.add(name)
            self._failures = 0
            for near in self._wanted().get(name, ()):
                near.open()

    def _close(self) -> None:
        with self._changing:
            self._confirmed.clear()
            for near in self._nears:
                near.close()

    def _pause(self) -> float:
        # Not the same for all processes, which would all come at once when the server is back.
        return min(LONGEST_PAUSE, 0.05 * 2.0 ** min(self._failures, 10)) * random.uniform(0.5, 1)


class ThreadSubscription(Subscription):
    """Listens in a thread."""

    _thread: threading.Thread | None = None

    def _start(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            run = partial(SyncDriver(self.client).run, self.listening())
            self._thread = threading.Thread(target=run, name="cacheops-near", daemon=True)
            with suppress(RuntimeError):  # the program is ending
                self._thread.start()

    def _sleep(self, seconds: float) -> Any:
        time.sleep(seconds)


class TaskSubscription(Subscription):
    """Listens in a task."""

    task: asyncio.Task[None] | None = None

    def _start(self) -> None:
        loop = asyncio.get_running_loop()
        if self.task is None or self.task.done() or self.task.get_loop() is not loop:
            self.task = loop.create_task(AsyncDriver(self.client).run(self.listening()))

    def _sleep(self, seconds: float) -> Any:
        return asyncio.sleep(seconds)

    async def end(self) -> None:
        """Stop listening, if nobody is there any more to be told."""
        if self.task is not None and not self._wanted():
            self.task.cancel()
            await asyncio.wait([self.task])


@contextmanager
def _noticing_loss(connection: Any) -> Iterator[None]:
    # Left alone, the client connects again as often as it likes before it says so.
    retry = connection.retry
    connection.retry = type(retry)(NoBackoff(), 0)
    try:
        yield
    finally:
        connection.retry = retry


_registering = threading.Lock()
_subscriptions: weakref.WeakValueDictionary[int, Subscription] = weakref.WeakValueDictionary()
"""By the identity of their client, which they keep alive."""

_is_ending = False


def subscribe(kind: Callable[[Any], Subscription], client: Any, near: Near) -> None:
    """Have a near cache told what the server of a client tells."""
    with _registering:
        subscription = _subscriptions.get(id(client))
        if subscription is None:
            subscription = _subscriptions[id(client)] = kind(client)
            # What was registered last is called first: before the end of a server that was started before this.
            atexit.unregister(_end)
            atexit.register(_end)
    subscription.join(near)


def _begin_anew() -> None:
    """After a fork, let go of the parent's connections, and listen on none until somebody asks."""
    global _registering
    _registering = threading.Lock()
    for subscription in list(_subscriptions.values()):
        if isinstance(subscription, ThreadSubscription) and subscription.pubsub is not None:
            with suppress(Exception):
                # It knows that it is the parent's, and only closes our end of it.
                subscription.pubsub.connection.disconnect()
    _subscriptions.clear()


def _end() -> None:
    # Servers may go before we do, and nobody wants to read about it.
    global _is_ending
    _is_ending = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
