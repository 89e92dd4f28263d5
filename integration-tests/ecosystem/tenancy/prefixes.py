"""The prefix of a tenant's keys."""

from typing import Any

from django.db import connection


def by_schema(query: Any) -> str:
    """Return what the keys of the tenant begin with for which the request is."""
    return f"{connection.schema_name}:"
