"""A proxy in front of a real server, which misbehaves when it is told to."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any


class Passing:
    """Hands everything on."""

    def request(self, client: socket.socket, server: socket.socket, data: bytes) -> None:
        server.sendall(data)

    def reply(self, client: socket.socket, data: bytes) -> None:
        client.sendall(data)


class Silent(Passing):
    """Never answers."""

    def request(self, client: socket.socket, server: socket.socket, data: bytes) -> None:
        pass


class HangingUp(Passing):
    """Has the server do what it is asked, and ends the connection in place of the answer."""

    def reply(self, client: socket.socket, data: bytes) -> None:
        end(client)


class Cutting(Passing):
    """Ends the connection in the middle of the answer."""

    def reply(self, client: socket.socket, data: bytes) -> None:
        client.sendall(data[:-3])
        end(client)


class Answering(Passing):
    """Answers each command with an error, as a server in trouble does."""

    def __init__(self, error: str) -> None:
        self.error: bytes = f"-{error}\r\n".encode()

    def request(self, client: socket.socket, server: socket.socket, data: bytes) -> None:
        client.sendall(self.error * (data.startswith(b"*") + data.count(b"\r\n*")))


LOSSES: dict[str, Passing | None] = {
    "refused": None,
    "black hole": Silent(),
    "hung up": HangingUp(),
    "cut in the middle": Cutting(),
    "loading": Answering("LOADING Valkey is loading the dataset in memory"),
    "no password": Answering("NOAUTH Authentication required."),
}
"""Ways not to answer, or only at the cost of a connection; None lets nobody in."""

REFUSALS: dict[str, Passing | None] = {
    "read-only": Answering("READONLY You can't write against a read only replica."),
    "out of memory": Answering("OOM command not allowed when used memory > 'maxmemory'."),
    "busy": Answering("BUSY Valkey is busy running a script."),
    "cannot save": Answering("MISCONF Errors writing to the AOF file: No space left on device"),
    "no permission": Answering("NOPERM User default has no permissions to run the 'mget' command"),
    "no script": Answering("NOSCRIPT No matching script."),
}
"""Ways to answer at once that it will not."""


class Proxy:
    """Hands on what clients and a server say to each other; what happens to a request is up to `behaviour`."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self.behaviour: Passing = Passing()
        self.requests: list[bytes] = []
        self.accepted: int = 0
        self._sockets: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        host, port = self._listener.getsockname()
        self.host: str = host
        self.port: int = port
        self.open()

    def open(self) -> None:
        """Let clients in, on the same port as before."""
        if self._listener.fileno() == -1:
            self._listener = socket.create_server((self.host, self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def close(self) -> None:
        """Refuse clients, and end the connections of those that were in."""
        # A thread that waits for a client would keep the port open.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()

    def hang_up(self) -> None:
        """End all connections."""
        for one in list(self._sockets):
            end(one)
        self._sockets.clear()

    @contextmanager
    def trouble(self, behaviour: Passing | None) -> Iterator[None]:
        """Misbehave until the end of the block; None lets nobody in."""
        if behaviour is None:
            self.close()
        else:
            self.behaviour = behaviour
        try:
            yield
        finally:
            self.behaviour = Passing()
            if behaviour is None:
                self.open()
            else:
                # Answers that were swallowed are not made up for.
                self.hang_up()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                self.accepted += 1
                server = socket.create_connection((self.server.host, self.server.port))
                self._sockets |= {client, server}
                for pump in (self._requests, self._replies):
                    threading.Thread(target=pump, args=(client, server), daemon=True).start()

    def _requests(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                self.requests.append(data)
                self.behaviour.request(client, server, data)
        end(client)
        end(server)

    def _replies(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                self.behaviour.reply(client, data)
        end(client)
        end(server)


def end(one: socket.socket) -> None:
    """Close a connection, also under the eyes of another thread that reads from it."""
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
