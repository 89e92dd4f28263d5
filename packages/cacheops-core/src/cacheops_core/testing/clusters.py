"""Clusters for tests: real servers that share the slots, with replicas if wanted."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import redis

from .servers import Server, free_port, start_server
from .waiting import wait_for

SLOTS = 16384


@dataclass(frozen=True)
class Cluster:
    """Servers that form a cluster, of which clients need to know one."""

    primaries: tuple[Server, ...]
    replicas: tuple[Server, ...]
    """One after another for each primary in turn: of three primaries, the fourth replica is the first's second."""

    @property
    def nodes(self) -> tuple[Server, ...]:
        """All servers."""
        return self.primaries + self.replicas

    @property
    def url(self) -> str:
        """Where clients find it, by way of its first primary."""
        return f"redis://{self.primaries[0].host}:{self.primaries[0].port}"

    def client(self, **options: Any) -> redis.RedisCluster:
        """Return a new client, which its caller closes."""
        # Not from a URL, whose connections redis-py 8 leaves open when it is closed.
        return redis.RedisCluster(host=self.primaries[0].host, port=self.primaries[0].port, **options)


@contextmanager
def start_cluster(
    binary: str = "auto", *, primaries: int = 3, replicas: int = 0, **config: str | int
) -> Iterator[Cluster]:
    """Run a cluster for the duration of the block; ``replicas`` is how many there are of all, not of each.

    Keyword arguments are lines of each server's configuration, as for `start_server`.
    """
    with ExitStack() as stack:
        ports = [free_port() for _ in range(primaries + replicas)]
        options = {"cluster_enabled": "yes", "cluster_announce_ip": "127.0.0.1", **config}
        nodes = [stack.enter_context(start_server(binary, **options, cluster_port=port)) for port in ports]
        cluster = Cluster(tuple(nodes[:primaries]), tuple(nodes[primaries:]))
        clients = [stack.enter_context(node.client()) for node in nodes]
        _share_slots(clients[:primaries])
        for node, bus in zip(nodes[1:], ports[1:], strict=True):
            clients[0].execute_command("CLUSTER MEET", node.host, node.port, bus)
        wait_for(lambda: all(_knows(client, len(nodes)) for client in clients))
        for number, client in enumerate(clients[primaries:]):
            primary = clients[number % primaries].execute_command("CLUSTER MYID")
            client.execute_command("CLUSTER REPLICATE", primary)
        wait_for(lambda: all(_is_ready(client) for client in clients))
        yield cluster


def _share_slots(clients: list[Any]) -> None:  # redis-py leaves execute_command without types
    bounds = [SLOTS * number // len(clients) for number in range(len(clients) + 1)]
    for client, first, end in zip(clients, bounds, bounds[1:], strict=False):
        client.execute_command("CLUSTER ADDSLOTS", *range(first, end))


def _knows(client: redis.Redis, nodes: int) -> bool:
    # Before two have shaken hands, they have other names for each other.
    flags = [node["flags"] for node in client.cluster("NODES").values()]
    return len(flags) == nodes and not any("handshake" in one for one in flags)


def _is_ready(client: redis.Redis) -> bool:
    replication = client.info("replication")
    is_linked = replication["role"] == "master" or replication["master_link_status"] == "up"
    return bool(is_linked and client.cluster("INFO")["cluster_state"] == "ok")
