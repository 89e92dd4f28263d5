"""One table in any of the databases, by the drivers themselves."""

import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from soak.players import Conflict

CONFLICTS = (1213, 1020, "40P01", "40001")


class Database:
    """A connection in autocommit mode: each read sees what has been committed."""

    def __init__(self) -> None:
        described = json.loads(os.environ["PROJECT_DATABASE"])
        self.kind: str = described["ENGINE"].rpartition(".")[2]
        self._connection = _CONNECTORS[self.kind](described)

    def __cache_key__(self) -> str:
        return self.kind

    def fill(self, places: Sequence[int]) -> None:
        """Make the table, with a row in each of these places."""
        self._do("CREATE TABLE item (id INTEGER PRIMARY KEY, version INTEGER, place INTEGER)")
        self._do("BEGIN")
        for row, place in enumerate(places):
            self._do("INSERT INTO item VALUES (?, 0, ?)", row, place)
        self._do("COMMIT")

    @contextmanager
    def transaction(self) -> Iterator[Callable[[], object]]:
        """Begin a transaction and yield what commits it; it is rolled back if that is not called."""
        try:
            self._do("BEGIN IMMEDIATE" if self.kind == "sqlite3" else "BEGIN")
            yield lambda: self._do("COMMIT")
        except Exception as error:
            self._do("ROLLBACK")
            if getattr(error, "sqlstate", None) in CONFLICTS or error.args[:1] in [(n,) for n in CONFLICTS]:
                raise Conflict from error
            raise

    def lock(self, row: int) -> tuple[int, int]:
        """Return the version and the place of a row that nobody else changes until the transaction ends."""
        end = "" if self.kind == "sqlite3" else " FOR UPDATE"
        return self._do(f"SELECT version, place FROM item WHERE id = ?{end}", row)[0]

    def move(self, row: int, version: int, place: int) -> None:
        self._do("UPDATE item SET version = ?, place = ? WHERE id = ?", version, place, row)

    def row(self, row: int) -> tuple[int, int]:
        """Return the version and the place of a row."""
        return self._do("SELECT version, place FROM item WHERE id = ?", row)[0]

    def listing(self, place: int) -> dict[int, int]:
        """Return the rows of a place with their versions."""
        return dict(self._do("SELECT id, version FROM item WHERE place = ?", place))

    def total(self, place: int) -> int:
        """Return the sum of the versions in a place."""
        return int(self._do("SELECT SUM(version) FROM item WHERE place = ?", place)[0][0] or 0)

    def everything(self) -> list[tuple[int, int]]:
        """Return the version and the place of each row."""
        return self._do("SELECT version, place FROM item ORDER BY id")

    def _do(self, sql: str, *values: Any) -> list[Any]:
        cursor = self._connection.cursor()
        cursor.execute(sql if self.kind == "sqlite3" else sql.replace("?", "%s"), values)
        return list(cursor.fetchall()) if cursor.description else []


def _sqlite(described: dict[str, Any]) -> Any:
    return sqlite3.connect(described["NAME"], timeout=60, isolation_level=None, check_same_thread=False)


def _postgresql(described: dict[str, Any]) -> Any:
    import psycopg

    connection = psycopg.connect(
        host=described["HOST"],
        port=described["PORT"] or None,
        user=described["USER"],
        password=described["PASSWORD"] or None,
        dbname=described["NAME"],
        autocommit=True,
    )
    if level := described.get("OPTIONS", {}).get("isolation_level"):
        name = psycopg.IsolationLevel(level).name.replace("_", " ")
        connection.execute(f"SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL {name}")
    return connection


def _mysql(described: dict[str, Any]) -> Any:
    import pymysql

    level = described.get("OPTIONS", {}).get("isolation_level")
    return pymysql.connect(
        init_command=f"SET SESSION TRANSACTION ISOLATION LEVEL {level}" if level else None,
        host=described["HOST"],
        port=int(described["PORT"] or 3306),
        user=described["USER"],
        password=described["PASSWORD"],
        database=described["NAME"],
        autocommit=True,
    )


_CONNECTORS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "sqlite3": _sqlite,
    "postgresql": _postgresql,
    "mysql": _mysql,
}
