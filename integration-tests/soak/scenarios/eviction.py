"""A server that is too small, and throws keys away."""

from functools import partial

from cacheops_core.testing import wait_for
from soak.scenario import Scenario
from soak.stage import Stage

FEWEST_KEYS = 80
STEP = 10_000


def evict(policy: str, stage: Stage) -> None:
    """Leave the server hardly more memory than it needs itself, which is found by looking at what it throws away."""
    with stage.site.server.client() as client:
        wait_for(lambda: client.dbsize() > FEWEST_KEYS)
        client.config_set("maxmemory-policy", policy)
        limit = client.info("memory")["used_memory"]
        while stage.wait(0.1):
            # It needs some for itself, and with that alone it would be out of memory.
            limit += STEP if client.dbsize() < FEWEST_KEYS else -STEP
            client.config_set("maxmemory", limit)
        stage.faults["keys evicted"] = client.info("stats")["evicted_keys"]
        client.config_set("maxmemory", 0)


SCENARIOS = [
    Scenario(
        name=f"eviction-{policy}",
        story=f"a server with room for hardly anything and the policy {policy}",
        fault=partial(evict, policy),
        may_refuse=True,  # where no key is left to be thrown away
        tweaks=("pauses",),
    )
    for policy in ("allkeys-lru", "allkeys-random")
]
