"""Running the demo as somebody does who has just cloned the repository."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

MANAGE = Path(__file__).parent.parent / "demo" / "manage.py"
COUNTRIES = "IS", "NO", "SE"
SECONDS = 60

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def runner(environment: dict[str, str]) -> Run:
    """Return what runs a script to its end."""

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *map(str, arguments)]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
        )

    return run


@contextmanager
def serving(environment: dict[str, str], *arguments: str) -> Iterator[str]:
    """Serve the site until the end of the block, at the address that this gives."""
    command = [sys.executable, str(MANAGE), "serve", *arguments]
    # What it tells of each request must not fill a pipe that nobody reads.
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True) as site,
    ):
        try:
            yield _address(site, log)
        finally:
            site.terminate()


def _address(site: subprocess.Popen[str], log: IO[str]) -> str:
    """Return where the site says that it is, once it answers there."""
    assert site.stdout is not None
    for line in site.stdout:
        if found := re.search(r"The site is at http://127.0.0.1:(\d+)/", line):
            _wait_for(int(found[1]))
            return f"http://127.0.0.1:{found[1]}"
    log.seek(0)
    raise AssertionError(f"the site has ended: {log.read()}")


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"nobody answers at port {port}")
