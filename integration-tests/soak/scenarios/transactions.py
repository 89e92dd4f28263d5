"""Readers that see the database as of an earlier moment."""

from soak.scenario import Scenario

SCENARIOS = [
    Scenario(
        name="in-transactions",
        story="readers that ask several things in one transaction, which may see one snapshot for all of them",
        reads=("in a transaction", "get", "list"),
        tweaks=("pauses",),
        rows=100,
        places=30,
    )
]
