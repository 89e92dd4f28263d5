"""Readers and writers at full speed: no read is stale. The long form of this is ``nox -s soak``."""

from collections.abc import Callable

import pytest
from soak.scenario import Plan
from soak.tally import Report

SHORT = [
    ("mixture", "sqlite", None),
    ("mixture", "postgresql", "repeatable read"),
    ("mixture", "mariadb", "read committed"),
    ("point-reads", "mariadb", "repeatable read"),
    ("membership", "postgresql", "read committed"),
    ("many-to-many", "mariadb", "repeatable read"),
    ("functions", "sqlite-wal", None),
    ("savepoints", "postgresql", "repeatable read"),
    ("bulk", "mariadb", "read committed"),
    ("slow-readers", "postgresql", "read committed"),
    ("in-transactions", "postgresql", "repeatable read"),
    ("in-transactions", "sqlite-wal", None),
    ("async-readers", "postgresql", "read committed"),
    ("near-django", "sqlite-wal", None),
]
"""Each scenario of Django's, and each database and isolation, at least once."""


@pytest.mark.parametrize("scenario, database, isolation", SHORT)
def test_no_read_is_stale(soak: Callable[..., Report], scenario: str, database: str, isolation: str | None):
    report = soak(scenario, Plan(database=database, isolation=isolation))
    assert (report.stale, report.exceptions) == (0, 0), report.details()
    assert report.counts["writes"] > 20
    assert report.counts["hits"] > 20
