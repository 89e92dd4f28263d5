"""Readers and writers at full speed: no read is stale, and most are served by the cache.

``CACHEOPS_STRESS_SECONDS`` makes it longer; ``python -m stress`` in this folder runs it by hand.
"""

import os
from collections.abc import Callable

import pytest
from stress.runner import Plan, run

SECONDS = float(os.environ.get("CACHEOPS_STRESS_SECONDS", "10"))


def test_no_read_is_stale_and_most_are_hits(database_kind: str, tell: Callable[[str], None]):
    report = run(Plan(database=database_kind, seconds=SECONDS))
    tell(f"stress on {database_kind}: {report}")
    assert (report.stale, report.errors) == (0, 0), report.details()
    assert report.hit_rate > 0.5


@pytest.mark.one_database
def test_stale_reads_are_found_where_there_are_any(database_kind: str):
    assert run(Plan(database=database_kind, seconds=3, sabotage="no invalidation")).stale
