"""Readers that store what they have read long after they have read it."""

from soak.scenario import Scenario

SCENARIOS = [
    Scenario(
        name="slow-readers",
        story="readers that wait up to 0.3 s between SELECT and fill, while the rows are written",
        reads=("get", "list", "count", "aggregate"),
        pace=0.1,
        tweaks=("long pauses",),
        rows=30,
        places=10,
    )
]
