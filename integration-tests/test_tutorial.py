"""The tutorial, followed from an empty folder: its files written, its commands run, what they print compared."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from doctest import ELLIPSIS, OutputChecker
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from cacheops_core.testing.servers import free_port

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "tutorial.md"
DISTRIBUTIONS = ("cacheops-core", "cacheops-django", "cacheops-jinja2", "cacheops-filecache", "cacheops")
MARK = "the command has ended"


class Shell:
    """A shell that goes on from command to command, as a reader's does."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._bash = subprocess.Popen(
            ["bash"], cwd=folder, env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def run(self, command: str) -> str:
        """Return what a command prints; it must succeed."""
        assert self._bash.stdin
        assert self._bash.stdout
        self._bash.stdin.write(f"{command}\nended=$?; echo; echo {MARK} $ended\n")
        self._bash.stdin.flush()
        printed = ""
        for line in self._bash.stdout:
            if line.startswith(MARK):
                assert line == f"{MARK} 0\n", f"{command} has failed:\n{printed}"
                # The line end that may have been missing.
                return printed[:-1]
            printed += line
        raise AssertionError(f"the shell has ended in {command}:\n{printed}")

    def close(self) -> None:
        """End the shell and what it has started."""
        os.killpg(self._bash.pid, 15)
        self._bash.communicate(timeout=30)


@contextmanager
def reader() -> Iterator[tuple[Path, Shell, str]]:
    """A folder, a shell in it, and the address of the site that is going to be served."""
    # A short path: the socket of the embedded server lies below it.
    with TemporaryDirectory(prefix="tutorial-") as place:
        folder, home = Path(place, "bookshop"), Path(place, "home")
        folder.mkdir()
        home.mkdir()
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "DJANGO"))
        }
        shell = Shell(
            folder,
            kept
            | {
                "HOME": str(home),
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                "PIP_FIND_LINKS": str(wheels(Path(place))),
                "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            },
        )
        try:
            yield folder, shell, f"127.0.0.1:{free_port()}"
        finally:
            shell.close()


def wheels(place: Path) -> Path:
    """Return a folder where pip finds our distributions as they stand here."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", "wheel", "--no-deps"]
    ours = [ROOT / "packages" / name for name in DISTRIBUTIONS]
    subprocess.run([*pip, "-w", place / "wheels", *ours], check=True)
    return place / "wheels"


def write(folder: Path, block: str) -> None:
    """Write a file of the tutorial, whose first line says which."""
    first, text = block.split("\n", 1)
    name, _, where = first.lstrip("# ").partition(", ")
    path = folder / name
    before = path.read_text() + "\n" if where == "at the end" else ""
    path.write_text(before + text)


def commands(block: str) -> Iterator[tuple[str, str]]:
    """Yield the commands of a block with what they print."""
    for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
        command, _, printed = part.partition("\n")
        yield command, printed


def serve(shell: Shell, address: str) -> None:
    """Start the site, and go on when it answers."""
    shell.run(f"python manage.py runserver --noreload {address} >server.log 2>&1 &")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if "302" in shell.run(f"curl -s -o /dev/null -w '%{{http_code}}' http://{address}/admin/ || true"):
            return
        time.sleep(0.1)
    raise AssertionError(shell.run("cat server.log"))


@pytest.mark.one_database
def test_the_tutorial_works_from_an_empty_folder() -> None:
    told = OutputChecker()
    with reader() as (folder, shell, address):
        for kind, block in re.findall(r"^```(python|console)\n(.*?)^```$", PAGE.read_text(), re.M | re.S):
            if kind == "python":
                write(folder, block)
                continue
            for command, wanted in commands(block):
                if command == "python manage.py runserver &":
                    serve(shell, address)
                    continue
                printed = shell.run(command.replace("127.0.0.1:8000", address))
                assert told.check_output(wanted, printed, ELLIPSIS), (
                    f"$ {command}\n{printed}\ninstead of\n{wanted}"
                )
