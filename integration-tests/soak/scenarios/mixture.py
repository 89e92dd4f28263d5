"""Everything at once."""

from soak.scenario import Scenario

SCENARIOS = [
    Scenario(
        name="mixture",
        story="rows, lists, counts and sums of rows that move between lists in every way that Django has",
        tweaks=("pauses",),
    )
]
