"""Single rows."""

from soak.scenario import Scenario

SCENARIOS = [
    Scenario(
        name="point-reads",
        story="single rows by primary key, saved again and again",
        reads=("get",),
        writes={"save": 1, "save in a block": 1},
        tweaks=("pauses",),
    )
]
