"""Savepoints and rollbacks."""

from soak.scenario import Scenario

SCENARIOS = [
    Scenario(
        name="savepoints",
        story="transactions and savepoints of which many are rolled back",
        writes={"save in a block": 1, "rollback": 2, "savepoint rollback": 2, "nested savepoints": 2},
        tweaks=("pauses",),
    )
]
