"""Programs without Django."""

from soak.scenario import Scenario

READS = ("get", "list", "one computes", "function of all")
WRITES = {"move": 3, "move several": 1}

SCENARIOS = [
    Scenario(
        name="plain",
        story="a program with cacheops_core.Cache, whose transactions are wrapped in writing()",
        world="soak.worlds.plain",
        reads=READS,
        writes=WRITES,
        tweaks=("pauses",),
    ),
    Scenario(
        name="plain-async",
        story="the same with AsyncCache, eight coroutines in each process",
        world="soak.worlds.plain_async",
        reads=READS,
        writes=WRITES,
    ),
]
