"""Where the cache is: one server, or several, and how the processes of a project are told."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from cacheops_core.testing import Server, start_server


class Site:
    """One server for all."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def settings(self, role: str) -> Mapping[str, Any]:
        """Return the settings that tell a process where to find it, which may depend on its role."""
        return {"CACHEOPS_REDIS": self.server.url}


@contextmanager
def one_server(binary: str) -> Iterator[Site]:
    """Run a server that keeps nothing on disk."""
    with start_server(binary) as server:
        yield Site(server)
