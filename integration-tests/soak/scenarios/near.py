"""Copies of entries in the processes themselves."""

from dataclasses import replace

from soak.scenario import READS, Scenario
from soak.scenarios.network import cut, linked
from soak.scenarios.plain import WRITES

MAX_AGE = 1.0
"""Seconds for which a copy is served, at most, whatever happens to the messages that end it."""

NEAR = Scenario(
    name="near",
    story="a program whose readers keep copies in their own memory, until they are told of a write",
    world="soak.worlds.plain_near",
    reads=("get", "list", "one computes"),
    writes=WRITES,
    pace=0.01,
    tweaks=("pauses",),
    lag=MAX_AGE,
)

SCENARIOS = [
    NEAR,
    replace(
        NEAR,
        name="near-network",
        story="the same over links that refuse, swallow, delay or cut what is sent",
        site=linked,
        fault=cut,
        may_refuse=True,
        rest=1.5,
        short=4.0,
    ),
    Scenario(
        name="near-django",
        story="a site whose profiles keep copies of rows, lists, counts and functions in each process",
        settings={"CACHEOPS": {"shop.*": {"ops": "all", "near": True}}},
        reads=(*READS, "function"),
        pace=0.01,
        tweaks=("pauses",),
        lag=MAX_AGE,
    ),
]
