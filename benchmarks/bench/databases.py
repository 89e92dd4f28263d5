"""The databases of the sites: files of SQLite, or made on a PostgreSQL server for the run and dropped after it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from psycopg.conninfo import conninfo_to_dict

from .processes import WorkerFailed

WHERE = "CACHEOPS_TEST_POSTGRES_URL"
"""The variable that says where the server is, if not at its usual port of this machine."""

POSTGRES = "postgresql://postgres@127.0.0.1:5432/postgres"

Description = dict[str, Any]
"""A database as Django's setting ``DATABASES`` describes it."""


def sqlite(folder: Path, name: str) -> Description:
    """Describe a file, for which nobody waits until it is on the disk: that would be the same for all."""
    settings = "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF"
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(folder / f"{name}.sqlite3"),
        "OPTIONS": {"init_command": settings, "timeout": 20},
    }


@contextmanager
def postgresql() -> Iterator[Description]:
    """Make a database on the server, whose disk nobody waits for either."""
    url, name = os.environ.get(WHERE, POSTGRES), f"cacheops_bench_{uuid4().hex}"
    try:
        connection = psycopg.connect(url, autocommit=True, connect_timeout=5)
    except psycopg.OperationalError as error:
        told = str(error).strip().splitlines()[0]
        raise WorkerFailed(f"there is no PostgreSQL at {url} ({told}): name it in {WHERE}") from error
    place = conninfo_to_dict(url)
    with connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            yield {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": name,
                **{key.upper(): place[key] for key in ("host", "port", "user", "password") if key in place},
                "CONN_MAX_AGE": None,
                "OPTIONS": {"options": "-c synchronous_commit=off"},
            }
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
