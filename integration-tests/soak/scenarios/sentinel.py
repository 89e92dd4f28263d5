"""A primary that dies and a replica that takes its place, as three sentinels decide."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, cast

from sentinels import SERVICE, primary_of, sentinels

from cacheops_core.testing import Server, start_server, wait_for
from soak.scenario import AFTER_FAULT, DEGRADING, Scenario
from soak.sites import Site
from soak.stage import Stage


class Watched(Site):
    """Two servers, one of them the other's replica, and three sentinels."""

    def __init__(self, servers: list[Server], ports: list[int]) -> None:
        super().__init__(servers[0])
        self.servers, self.ports = servers, ports

    def settings(self, role: str) -> Mapping[str, Any]:
        locations = [("127.0.0.1", port) for port in self.ports]
        where = {"locations": locations, "service_name": SERVICE, "socket_timeout": 1.0}
        return {"CACHEOPS_REDIS": None, "CACHEOPS_SENTINEL": where}

    def primary(self) -> Server | None:
        """Return the server that all sentinels take for the primary; None if they do not agree."""
        (port, *others) = {primary_of(port) for port in self.ports}
        found = [server for server in self.servers if server.port == port]
        return found[0] if found and not others else None

    def is_led_by(self, server: Server) -> bool:
        """Return whether all sentinels take a server for the primary."""
        return self.primary() is server


@contextmanager
def watched(binary: str) -> Iterator[Watched]:
    """Run the servers and the sentinels."""
    with ExitStack() as stack:
        primary = stack.enter_context(start_server(binary))
        replica = stack.enter_context(start_server(binary))
        follow(replica, primary)
        yield Watched([primary, replica], stack.enter_context(sentinels(primary, 3)))


def follow(replica: Server, primary: Server) -> None:
    """Make a server the replica of another, and wait until it has all that the other has."""
    with replica.client() as client:
        client.replicaof(primary.host, primary.port)
    wait_for(partial(is_linked, replica))


def kill_ahead_of(replica: Server, primary: Server, stage: Stage) -> None:
    """Kill a primary that has done for a while what its replica will never get to know."""
    with replica.paused(), primary.client() as client:
        # Of what was sent already, the replica's kernel would keep a copy for it.
        client.client_kill_filter(_type="replica")
        stage.wait(0.2, 0.45)
        primary.kill()


def fail_over(stage: Stage) -> None:
    """Kill the primary while the replica is behind, wait for the replica to take over, and make it whole again."""
    site = cast(Watched, stage.site)
    while stage.wait(0.5, 1.5):
        primary = site.primary()
        assert primary is not None
        (replica,) = [server for server in site.servers if server is not primary]
        with stage.fault("primary killed"):
            kill_ahead_of(replica, primary, stage)
            wait_for(partial(site.is_led_by, replica))
        primary.start()
        follow(primary, replica)


def pause(stage: Stage) -> None:
    """Let the primary answer nobody until the replica has taken over; it goes on as a primary until it is told."""
    site = cast(Watched, stage.site)
    while stage.wait(0.5, 1.5):
        primary = site.primary()
        assert primary is not None
        (replica,) = [server for server in site.servers if server is not primary]
        with stage.fault("primary paused"):
            with primary.paused():
                wait_for(partial(site.is_led_by, replica))
            wait_for(partial(is_linked, primary))


def is_linked(replica: Server) -> bool:
    """Return whether a server has become a replica, and has all that its primary has."""
    with replica.client() as client:
        return bool(client.info("replication").get("master_link_status") == "up")


FAILOVER = Scenario(
    name="sentinel-failover",
    story="the primary is killed and a replica takes over that lacks its last writes; the site goes on meanwhile",
    site=watched,
    fault=fail_over,
    settings=DEGRADING,
    tweaks=("pauses",),
    bound=AFTER_FAULT,
    rest=1.5,
    short=5.0,
)

PAUSE = replace(
    FAILOVER,
    name="sentinel-pause",
    story="the primary hangs until a replica has taken over, and then goes on until it is told",
    fault=pause,
)

SCENARIOS = [FAILOVER, FAILOVER.strict(), PAUSE, PAUSE.strict()]
