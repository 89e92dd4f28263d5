"""One site per contender: its database, its share of the server, its processes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import redis

from .contenders import CONTENDERS, Contender, environment, interpreter
from .databases import Description, postgresql, sqlite
from .processes import Process, WorkerFailed, running
from .proxy import Proxy

SNAPSHOT = 8
"""How far above a site's database of the server the copy of it is."""

COPY = """
local cursor = '0'
redis.call('SELECT', ARGV[1])
repeat
    local found = redis.call('SCAN', cursor, 'COUNT', 1000)
    cursor = found[1]
    for _, key in ipairs(found[2]) do redis.call('COPY', key, key, 'DB', ARGV[2], 'REPLACE') end
until cursor == '0'
"""

WEIGH = """
local cursor, sum = '0', 0
redis.call('SELECT', ARGV[1])
repeat
    local found = redis.call('SCAN', cursor, 'COUNT', 1000)
    cursor = found[1]
    for _, key in ipairs(found[2]) do sum = sum + redis.call('MEMORY', 'USAGE', key, 'SAMPLES', 0) end
until cursor == '0'
return sum
"""


class Site:
    """The site of one contender, whose process is driven and whose round trips another one shows."""

    def __init__(
        self, contender: Contender, process: Process, counted: Process, server: redis.Redis, number: int
    ) -> None:
        self.contender, self.name = contender, contender.name
        self.process, self.counted = process, counted
        self._server, self._number = server, number

    def snapshot(self) -> None:
        """Keep a copy of all that is in the cache."""
        self._copy(self._number, self._number + SNAPSHOT)

    def restore(self) -> None:
        """Bring back what is in the copy."""
        self._copy(self._number + SNAPSHOT, self._number)

    def _copy(self, source: int, target: int) -> None:
        self._server.eval(COPY, 0, source, target)

    def empty(self) -> None:
        """Remove all that is in the cache, and its copy."""
        for number in (self._number, self._number + SNAPSHOT):
            self._server.eval("redis.call('SELECT', ARGV[1]) redis.call('FLUSHDB')", 0, number)

    def weigh(self) -> int:
        """Return the bytes that all keys take."""
        return int(self._server.eval(WEIGH, 0, self._number))


class Grounds:
    """Where the sites are: one server, one folder, one kind of database."""

    def __init__(self, server: Any, folder: Path, environments: Path, *, database: str, source: bool) -> None:
        self._server, self._folder, self._environments = server, folder, environments
        self._database, self._source = database, source
        self._client: redis.Redis = server.client(socket_timeout=None)
        self._stack = ExitStack()
        self._databases: dict[str, Description] = {}

    def __enter__(self) -> Grounds:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()
        self._client.close()

    def open(self, name: str, proxy: Proxy) -> Site:
        """Start a contender's site, with all rows in its database; raises `WorkerFailed` if it does not start."""
        contender, number = CONTENDERS[name], list(CONTENDERS).index(name)
        is_file = self._database == "sqlite"
        self._databases[name] = (
            sqlite(self._folder, name) if is_file else self._stack.enter_context(postgresql())
        )
        process = self.process(name, self._server.port)
        process.do("create")
        return Site(contender, process, self.process(name, proxy.port), self._client, number)

    def process(self, name: str, port: int) -> Process:
        """Start another process of a site, which ends with the grounds."""
        return self._stack.enter_context(self.another(name, port))

    @contextmanager
    def another(self, name: str, port: int | None = None) -> Iterator[Process]:
        """Start another process of a site, which ends with the block."""
        number = list(CONTENDERS).index(name)
        environ = self.environ(name) | {
            "BENCH_REDIS": f"redis://127.0.0.1:{port or self._server.port}/{number}"
        }
        with running(self.interpreter(name), environ) as process:
            yield process

    def interpreter(self, name: str) -> Path:
        """Return the Python that runs a contender."""
        return interpreter(CONTENDERS[name], self._environments)

    def environ(self, name: str) -> dict[str, str]:
        """Return the environment of a contender's processes, but for the server."""
        found = environment(CONTENDERS[name], source=self._source)
        return found | {"BENCH_DATABASE": json.dumps(self._databases[name]), "BENCH_REDIS": self._server.url}


__all__ = ["Grounds", "Site", "WorkerFailed"]
