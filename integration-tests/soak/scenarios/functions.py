"""Results of functions."""

from soak.scenario import Scenario

SCENARIOS = [
    Scenario(
        name="functions",
        story="functions kept by cached_as until some rows change, or any, of which one process computes",
        reads=("function", "function of all"),
        pace=0.03,
        tweaks=("pauses",),
        places=20,
    )
]
