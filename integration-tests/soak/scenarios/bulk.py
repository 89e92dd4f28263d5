"""Writes of several rows by one statement."""

from soak.scenario import Scenario

SCENARIOS = [
    Scenario(
        name="bulk",
        story="bulk_update, invalidated_update, delete of a queryset and bulk_create",
        reads=("get", "list", "count", "exists", "aggregate", "joined"),
        writes={"bulk_update": 1, "invalidated_update": 1, "delete and create in bulk": 1},
        tweaks=("pauses",),
    )
]
