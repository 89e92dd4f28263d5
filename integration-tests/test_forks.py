"""Processes, threads and event loops never share a connection, lose nothing, and come to their ends."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from databases import Description
from forking.__main__ import PROGRAMS
from processes import environment

from cacheops_core.testing import Server, start_server, wait_for

pytestmark = pytest.mark.one_database

HERE = Path(__file__).parent
PATIENCE = 90.0
WORKERS = 3


def assert_no_connection_is_shared(found: list[dict[str, Any]]) -> None:
    assert all(one["is_right"] for one in found)
    owners: dict[int, set[int]] = {}
    for one in found:
        owners.setdefault(one["connection"], set()).add(one["pid"])
    assert all(len(pids) == 1 for pids in owners.values()), owners


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server of one kind: all of them number their connections."""
    with start_server() as server:
        yield server


@pytest.fixture
def environ(database: Description, server: Server) -> dict[str, str]:
    path = {"PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])}
    return os.environ | environment(database, server.url) | path


@pytest.mark.parametrize("program", PROGRAMS)
def test_nobody_shares_a_connection_and_all_come_to_their_ends(environ: dict[str, str], program: str):
    command = [sys.executable, "-m", "forking", program]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert_no_connection_is_shared(json.loads(done.stdout))


@pytest.fixture
def gunicorn(environ: dict[str, str], tmp_path: Path) -> Iterator[str]:
    """The address of a site that gunicorn has loaded before it forked."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    environ = environ | {
        "PROJECT_SETTINGS": json.dumps({"ROOT_URLCONF": "forking.served", "ALLOWED_HOSTS": ["*"]})
    }
    command = [sys.executable, "-m", "gunicorn", "--preload", f"--workers={WORKERS}", "--threads=2"]
    command += [f"--bind=127.0.0.1:{port}", f"--worker-tmp-dir={tmp_path}", "forking.served:application"]
    process = subprocess.Popen(command, env=environ, cwd=tmp_path, stderr=subprocess.PIPE)
    try:
        wait_for(lambda: answers(port) or process.poll() is not None)
        yield f"http://127.0.0.1:{port}/"
        process.terminate()
        _, said = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, said.decode()[-3000:]
        assert b"Traceback" not in said, said.decode()[-3000:]
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_the_workers_of_a_server_that_loads_before_it_forks_share_no_connection(gunicorn: str):
    def ask(number: int) -> dict[str, Any]:
        with urlopen(f"{gunicorn}?number={number}", timeout=PATIENCE) as answer:
            return json.loads(answer.read())

    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(ask, range(30)))
    assert len({one["pid"] for one in found}) > 1
    assert_no_connection_is_shared(found)
