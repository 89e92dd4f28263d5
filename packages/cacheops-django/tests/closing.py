"""Closing the database's connection of a thread that a test has used."""

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper


def close() -> None:
    """Close the connections of this thread, also those to SQLite's databases in memory, which Django leaves open."""
    for connection in connections.all(initialized_only=True):
        BaseDatabaseWrapper.close(connection)
