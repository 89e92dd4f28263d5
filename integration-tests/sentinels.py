"""Sentinels that watch servers of a test: they tell clients who the primary is, and choose another if it fails."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import redis

from cacheops_core.testing import Server, free_port, wait_for

SERVICE = "mymaster"

HASTE = ("PUBLISH-PERIOD", 100, "INFO-PERIOD", 200, "PING-PERIOD", 300, "ASK-PERIOD", 100)
"""Milliseconds between what sentinels do to find each other and their servers: less than usual. (Of a replica they want
to have heard something in the last five pings before they promote it, and ask it once a second.)"""


@contextmanager
def sentinels(primary: Server, number: int) -> Iterator[list[int]]:
    """Run several for the duration of the block, which decide by majority, and yield their ports."""
    with ExitStack() as stack:
        ports = [stack.enter_context(sentinel(primary, number // 2 + 1, 1100)) for _ in range(number)]
        for port in ports:
            with redis.Redis(port=port) as client:
                client.execute_command("SENTINEL DEBUG", *HASTE)
        wait_for(lambda: all(_others(port) == number - 1 for port in ports))
        yield ports


@contextmanager
def sentinel(primary: Server, quorum: int = 1, patience: int = 200) -> Iterator[int]:
    """Run one for the duration of the block, which knows a primary as `SERVICE`, and yield its port.

    ``patience`` are the milliseconds after which it takes a server for dead that does not answer.
    """
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="cacheops-sentinel-") as folder:
        # It writes what it finds out into its configuration, so there has to be a file.
        config = Path(folder) / "sentinel.conf"
        config.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {folder}\nlogfile {folder}/log\n"
            f"sentinel monitor {SERVICE} 127.0.0.1 {primary.port} {quorum}\n"
            f"sentinel down-after-milliseconds {SERVICE} {patience}\nsentinel failover-timeout {SERVICE} 2000\n"
        )
        process = subprocess.Popen([primary.binary, str(config), "--sentinel"])
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


def _others(port: int) -> int:
    """Return how many other sentinels one knows."""
    with redis.Redis(port=port, socket_timeout=1.0) as client:
        return int(client.sentinel_master(SERVICE)["num-other-sentinels"])


def use_sentinel(*ports: int) -> None:
    """Have this process of the project ask sentinels where its server is, and go on while there is none."""
    from django.test import override_settings

    where = {"locations": [("127.0.0.1", port) for port in ports], "service_name": SERVICE, "db": 0}
    override_settings(CACHEOPS_REDIS=None, CACHEOPS_SENTINEL=where, CACHEOPS_DEGRADE_ON_FAILURE=True).enable()


def findings_about_sentinels() -> list[tuple[str, str]]:
    """Return what the doctor says of them: how bad it is, and in which words."""
    from cacheops_django.doctor import examine

    return [(one.level, one.says) for one in examine() if one.subject == "sentinels"]
