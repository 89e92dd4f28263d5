"""Servers that die and come back: with nothing, or with what they had a while ago."""

from dataclasses import replace

from soak.scenario import AFTER_FAULT, DEGRADING, Scenario
from soak.stage import Stage


def restart_empty(stage: Stage) -> None:
    """Kill the server, leave it away for a moment, and start it with nothing."""
    while stage.wait(0.5, 1.5):
        with stage.fault("restarted empty"):
            stage.site.server.kill()
            stage.wait(0.0, 1.0)
            stage.site.server.start()


def restart_from_snapshot(stage: Stage) -> None:
    """Save what the server has, let some time pass, kill it, and start it with what was saved."""
    with stage.site.server.client() as client:
        while stage.wait(0.2, 0.5):
            client.save()
            stage.wait(0.3, 1.0)
            with stage.fault("restarted from a snapshot"):
                stage.site.server.kill()
                stage.wait(0.0, 0.5)
                stage.site.server.start()


EMPTY = Scenario(
    name="restarted-empty",
    story="the server is killed and comes back with nothing; the site goes on without it",
    fault=restart_empty,
    settings=DEGRADING,
    tweaks=("pauses",),
    bound=AFTER_FAULT,
    rest=1.5,
    short=4.0,
)

SNAPSHOT = replace(
    EMPTY,
    name="restarted-from-snapshot",
    story="the server is killed and comes back with what it had a while ago",
    fault=restart_from_snapshot,
)

SCENARIOS = [EMPTY, EMPTY.strict(), SNAPSHOT, SNAPSHOT.strict()]
