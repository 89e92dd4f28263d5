"""Rows that change lists."""

from soak.scenario import Scenario

SCENARIOS = [
    Scenario(
        name="membership",
        story="lists, counts and joins by a field whose value rows change",
        reads=("list", "count", "exists", "joined"),
        writes={"save": 1, "save in a block": 1, "several saves": 1, "delete and create": 1},
        pace=0.01,
        tweaks=("pauses",),
    )
]
