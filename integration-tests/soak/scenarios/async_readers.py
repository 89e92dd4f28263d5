"""Readers that are coroutines."""

from soak.scenario import Scenario

SCENARIOS = [
    Scenario(
        name="async-readers",
        story="coroutines that ask Django on an event loop, eight at a time in each process",
        world="soak.worlds.shop_async",
        reads=("get", "list", "count", "exists", "aggregate", "function of all"),
        tweaks=("pauses",),
    )
]
