"""A proxy that counts round trips: how often a client speaks after its server has."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Proxy:
    """Passes everything on between clients and the server, on a port of its own."""

    def __init__(self, server: tuple[str, int]) -> None:
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.trips = 0
        """Round trips so far, of all connections together."""
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            connection = _Connection(self, client, socket.create_connection(self._server))
            for method in (connection.ask, connection.answer):
                threading.Thread(target=method, daemon=True).start()

    def count(self) -> None:
        with self._lock:
            self.trips += 1

    def close(self) -> None:
        """Let nobody connect any more; connections end with their clients."""
        self._listener.close()


class _Connection:
    """Two directions, and who has spoken last."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        for one in (client, server):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._is_asked = False

    def ask(self) -> None:
        while data := _received(self._client):
            # What a client sends in several parts before it is answered is one question.
            if not self._is_asked:
                self._is_asked = True
                self._proxy.count()
            self._server.sendall(data)
        self._server.shutdown(socket.SHUT_WR)

    def answer(self) -> None:
        while data := _received(self._server):
            self._is_asked = False
            self._client.sendall(data)
        self._client.close()
        self._server.close()


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(1 << 16)
    except OSError:
        return b""


@contextmanager
def counting(server: tuple[str, int]) -> Iterator[Proxy]:
    """Yield a proxy that accepts connections until the end of the block."""
    proxy = Proxy(server)
    try:
        yield proxy
    finally:
        proxy.close()
