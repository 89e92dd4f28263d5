"""Databases for tests that run in several processes: real ones, each made for one use and dropped after it.

``CACHEOPS_TEST_POSTGRES_URL`` and ``CACHEOPS_TEST_MARIADB_URL`` say where the servers are, if not at their usual
ports of this machine.
"""

import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import uuid4

Description = dict[str, Any]
"""A database as Django's setting ``DATABASES`` describes it."""

POSTGRES = "postgresql://postgres@127.0.0.1:5432/postgres"
MARIADB = "mysql://root@127.0.0.1:3306/"

# A writer waits for SQLite's one write lock for as long as the others take, and never for ever.
SQLITE_OPTIONS = {"timeout": 60, "transaction_mode": "IMMEDIATE"}


def use_pymysql() -> None:
    """Stand PyMySQL in for mysqlclient, under a version number that Django accepts."""
    import pymysql

    pymysql.version_info = (2, 2, 7, "final", 0)  # type: ignore[assignment]
    pymysql.install_as_MySQLdb()


@contextmanager
def sqlite(journal: str) -> Iterator[Description]:
    """Make a file with the given journal mode, which the file itself remembers."""
    with tempfile.TemporaryDirectory(prefix="cacheops-") as folder:
        name = str(Path(folder) / "db.sqlite3")
        with closing(sqlite3.connect(name)) as connection:
            connection.execute(f"PRAGMA journal_mode = {journal}")
        yield {"ENGINE": "django.db.backends.sqlite3", "NAME": name, "OPTIONS": SQLITE_OPTIONS}


@contextmanager
def postgresql() -> Iterator[Description]:
    """Make a database on the PostgreSQL server."""
    import psycopg

    url, name = os.environ.get("CACHEOPS_TEST_POSTGRES_URL", POSTGRES), _new_name()
    with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            yield _described("django.db.backends.postgresql", url, name)
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def mariadb() -> Iterator[Description]:
    """Make a database on the MariaDB server."""
    import pymysql

    url, name = os.environ.get("CACHEOPS_TEST_MARIADB_URL", MARIADB), _new_name()
    described = _described("django.db.backends.mysql", url, name)
    with closing(_connect_mariadb(pymysql, described)) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    try:
        yield described
    finally:
        # A connection of its own: the server may have closed the first one in the meantime.
        with closing(_connect_mariadb(pymysql, described)) as connection, connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {name}")


def _connect_mariadb(pymysql: Any, described: Description) -> Any:
    return pymysql.connect(
        host=described["HOST"],
        port=int(described["PORT"] or 3306),
        user=described["USER"],
        password=described["PASSWORD"],
        unix_socket=described["HOST"] if described["HOST"].startswith("/") else None,
        connect_timeout=5,
        autocommit=True,
    )


def _new_name() -> str:
    return f"cacheops_{uuid4().hex}"


def _described(engine: str, url: str, name: str) -> Description:
    parts = urlsplit(url)
    return {
        "ENGINE": engine,
        "NAME": name,
        "HOST": unquote(parts.hostname or ""),
        "PORT": str(parts.port or ""),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
    }


KINDS: dict[str, Callable[[], AbstractContextManager[Description]]] = {
    "sqlite": lambda: sqlite("delete"),
    "sqlite-wal": lambda: sqlite("wal"),
    "postgresql": postgresql,
    "mariadb": mariadb,
}
"""All kinds of databases that are tested, by the name that test ids and commands know."""


def why_not(kind: str) -> str | None:
    """Return why a kind of database cannot be tested here; None if it can."""
    try:
        with KINDS[kind]():
            return None
    except Exception as error:  # whatever a driver raises, missing drivers included
        return f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
