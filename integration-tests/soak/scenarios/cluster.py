"""A cluster of three primaries with a replica each, whose nodes fail and whose slots move."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any, cast

import redis

from cacheops_core.stamps import TableKeys
from cacheops_core.testing import Cluster, Server, start_cluster, wait_for
from soak.scenario import AFTER_FAULT, DEGRADING, Scenario
from soak.scenarios.sentinel import kill_ahead_of
from soak.sites import Site
from soak.stage import Stage

TABLES = ("shop_product", "shop_category")


class Clustered(Site):
    """A cluster."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster.primaries[0])
        self.cluster = cluster

    def settings(self, role: str) -> Mapping[str, Any]:
        nodes = [(node.host, node.port) for node in self.cluster.nodes]
        return {"CACHEOPS_REDIS": None, "CACHEOPS_CLUSTER": {"startup_nodes": nodes}}


@contextmanager
def clustered(binary: str) -> Iterator[Clustered]:
    """Run the nodes."""
    with start_cluster(
        binary,
        replicas=3,
        cluster_node_timeout=500,
        cluster_require_full_coverage="no",
        cluster_replica_validity_factor=0,
    ) as cluster:
        yield Clustered(cluster)


def ask(node: Server, *command: Any) -> Any:
    """Send a command to one node."""
    with node.client(socket_timeout=2.0) as client:
        return client.execute_command(*command)


def is_primary(node: Server) -> bool:
    """Return whether a node says that it is one."""
    with suppress(redis.RedisError):
        return bool(ask(node, "ROLE")[0] == b"master")
    return False


def are_led_by(number: int, nodes: Sequence[Server]) -> bool:
    """Return whether so many of these nodes say that they are primaries."""
    return sum(map(is_primary, nodes)) == number


def primaries(cluster: Cluster) -> list[Server]:
    """Return the nodes that take writes."""
    return [node for node in cluster.nodes if is_primary(node)]


def replica_of(cluster: Cluster, primary: Server) -> Server:
    """Return the replica of a primary."""
    (found,) = [
        node for node in cluster.nodes if ask(node, "ROLE")[1:3] == [primary.host.encode(), primary.port]
    ]
    return found


def is_whole(cluster: Cluster) -> bool:
    """Return whether there are three primaries whose slots are all served, and their replicas have all they have."""
    return len(primaries(cluster)) == 3 and all(map(_is_well, cluster.nodes))


def _is_well(node: Server) -> bool:
    with node.client(socket_timeout=2.0) as client:
        replication = client.info("replication")
        is_linked = replication["role"] == "master" or replication["master_link_status"] == "up"
        return bool(is_linked and client.cluster("INFO")["cluster_state"] == "ok")


def fail_over(stage: Stage) -> None:
    """Kill a primary and wait for its replica to take over, or have the two change places."""
    cluster = cast(Clustered, stage.site).cluster
    while stage.wait(0.3, 0.8):
        node = stage.random.choice(primaries(cluster))
        with stage.fault("primary killed"):
            others = [one for one in cluster.nodes if one is not node]
            kill_ahead_of(replica_of(cluster, node), node, stage)
            wait_for(partial(are_led_by, 3, others))
        node.start()
        wait_for(partial(is_whole, cluster))
        if not stage.wait(0.3, 0.8):
            break
        replica = stage.random.choice([node for node in cluster.nodes if not is_primary(node)])
        with stage.fault("places changed"):
            ask(replica, "CLUSTER FAILOVER")
            wait_for(partial(is_primary, replica))
        wait_for(partial(is_whole, cluster))


def pause(stage: Stage) -> None:
    """Let a primary answer nobody until its replica has taken over; it goes on as a primary until it is told."""
    cluster = cast(Clustered, stage.site).cluster
    while stage.wait(0.3, 0.8):
        node = stage.random.choice(primaries(cluster))
        with stage.fault("primary paused"):
            others = [one for one in cluster.nodes if one is not node]
            with node.paused():
                wait_for(partial(are_led_by, 3, others))
            wait_for(partial(is_whole, cluster))


def reshard(stage: Stage) -> None:
    """Move the slot of a table to another node, one key after the other."""
    cluster = cast(Clustered, stage.site).cluster
    while stage.wait(0.1, 0.5):
        table = stage.random.choice(TABLES)
        key = TableKeys.of("", table).generation
        slot = ask(cluster.primaries[0], "CLUSTER KEYSLOT", key)
        (source,) = [node for node in cluster.primaries if _owns(node, slot)]
        target = stage.random.choice([node for node in cluster.primaries if node is not source])
        with stage.fault("slot moved"):
            move(stage, slot, source, target)


def _owns(node: Server, slot: int) -> bool:
    mine = ask(node, "CLUSTER MYID").decode()
    return any(
        first <= slot <= last and any(owner[2].decode() == mine for owner in owners[:1])
        for first, last, *owners in ask(node, "CLUSTER SLOTS")
    )


def move(stage: Stage, slot: int, source: Server, target: Server) -> None:
    """Move a slot as an administrator's tool does, a few keys at a time."""
    here, there = ask(source, "CLUSTER MYID"), ask(target, "CLUSTER MYID")
    ask(target, "CLUSTER SETSLOT", slot, "IMPORTING", here)
    ask(source, "CLUSTER SETSLOT", slot, "MIGRATING", there)
    while keys := ask(source, "CLUSTER GETKEYSINSLOT", slot, 20):
        ask(source, "MIGRATE", target.host, target.port, "", 0, 1000, "REPLACE", "KEYS", *keys)
        stage.wait(0.0, 0.02)
    for node in (target, source, *stage.site.cluster.nodes):  # type: ignore[attr-defined]
        with suppress(redis.ResponseError):
            # Replicas learn it from their primaries.
            ask(node, "CLUSTER SETSLOT", slot, "NODE", there)


FAILOVER = Scenario(
    name="cluster-failover",
    story="primaries of a cluster are killed, or change places with their replicas; the site goes on meanwhile",
    site=clustered,
    fault=fail_over,
    settings=DEGRADING,
    tweaks=("pauses",),
    bound=AFTER_FAULT,
    rest=1.5,
    short=6.0,
)

PAUSE = replace(
    FAILOVER,
    name="cluster-pause",
    story="a primary of a cluster hangs until its replica has taken over, and then goes on until it is told",
    fault=pause,
)

RESHARDING = replace(
    FAILOVER.strict(),
    name="cluster-resharding",
    story="the slot of a table moves from node to node, key by key",
    fault=reshard,
    short=3.0,
)

SCENARIOS = [FAILOVER, FAILOVER.strict(), PAUSE, PAUSE.strict(), RESHARDING]
