"""Rows of a many-to-many relation."""

from soak.scenario import Scenario

SCENARIOS = [
    Scenario(
        name="many-to-many",
        story="tags that are given and taken from either side, in every way that Django has",
        world="soak.worlds.tags",
        reads=("tagged", "products of tag", "prefetched", "count", "tags of product", "by subquery"),
        writes={
            "set": 2,
            "remove and add": 2,
            "from the other side": 2,
            "by the table between": 2,
            "clear and roll back": 1,
        },
        tweaks=("pauses",),
        rows=100,
        places=30,
    )
]
