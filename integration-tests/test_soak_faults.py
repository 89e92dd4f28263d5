"""Readers and writers at full speed, while processes, servers and networks fail: no read is stale that may not be.

Nothing here depends on the version of Django. The long form is ``nox -s soak``.
"""

from collections.abc import Callable

import pytest
from soak.runner import run
from soak.scenario import Plan
from soak.scenarios import SCENARIOS
from soak.tally import Report

SHORT = {
    "plain": "mariadb",
    "plain-async": "sqlite-wal",
    "near": "sqlite-wal",
    "near-network": "postgresql",
    "killed-processes": "postgresql",
    "eviction-allkeys-lru": "postgresql",
    "eviction-allkeys-random": "sqlite-wal",
    "restarted-empty": "sqlite-wal",
    "restarted-from-snapshot-strict": "sqlite-wal",
    "network": "sqlite-wal",
    "network-strict": "postgresql",
    "sentinel-failover-strict": "sqlite-wal",
    "sentinel-pause": "postgresql",
    "cluster-failover": "mariadb",
    "cluster-resharding": "sqlite-wal",
}
"""The database of each."""


@pytest.mark.parametrize("scenario", SHORT)
def test_no_read_is_stale(soak: Callable[..., Report], scenario: str):
    report = soak(scenario, Plan(database=SHORT[scenario]))
    assert (report.stale, report.exceptions) == (0, 0), report.details()
    assert report.counts["writes"] > 20
    assert report.counts["hits"] > 20
    assert report.faults or SCENARIOS[scenario].fault is None


@pytest.mark.parametrize(
    "scenario", ["mixture", "many-to-many", "functions", "async-readers", "plain", "plain-async"]
)
def test_stale_reads_are_found_where_there_are_any(scenario: str):
    report = run(Plan(database="sqlite-wal", seconds=1.0, sabotage="no invalidation"), SCENARIOS[scenario])
    assert report.stale > 0
    assert report.exceptions == 0, report.details()
