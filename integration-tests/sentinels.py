"""Sentinels that watch servers of a test: they tell clients who the primary is, and choose another if it fails."""

import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from cacheops_core.testing import Server, known_binaries

SERVICE = "mymaster"
PATIENCE = 30.0


@contextmanager
def sentinel(primary: Server) -> Iterator[int]:
    """Run one for the duration of the block, which knows a primary as `SERVICE`, and yield its port."""
    with tempfile.TemporaryDirectory(prefix="cacheops-sentinel-") as folder, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])
        listener.close()
        # It writes what it finds out into its configuration, so there has to be a file.
        config = Path(folder) / "sentinel.conf"
        config.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {folder}\nlogfile {folder}/log\n"
            f"sentinel monitor {SERVICE} 127.0.0.1 {primary.port} 1\n"
            f"sentinel down-after-milliseconds {SERVICE} 200\nsentinel failover-timeout {SERVICE} 2000\n"
        )
        binary = next(iter(known_binaries().values()))
        process = subprocess.Popen([binary, str(config), "--sentinel"])
        try:
            wait_for(lambda: primary_of(port) == primary.port)
            yield port
        finally:
            process.kill()
            process.wait()


def primary_of(port: int) -> int | None:
    """Return the port of the server that a sentinel takes for the primary; None if it does not answer yet."""
    with redis.Redis(port=port, socket_timeout=1.0) as client:
        try:
            found = client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
        except redis.ConnectionError:
            return None
    return int(found[1]) if found else None


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something has come to pass, and fail if it does not."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "this has not come to pass"
        time.sleep(0.01)


def use_sentinel(port: int) -> None:
    """Have this process of the project ask a sentinel where its server is, and go on while there is none."""
    from django.test import override_settings

    where = {"locations": [("127.0.0.1", port)], "service_name": SERVICE, "db": 0}
    override_settings(CACHEOPS_REDIS=None, CACHEOPS_SENTINEL=where, CACHEOPS_DEGRADE_ON_FAILURE=True).enable()
