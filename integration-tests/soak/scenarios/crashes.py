"""Processes that die."""

from soak.scenario import Scenario
from soak.stage import Stage


def kill(stage: Stage) -> None:
    """Kill a process at a random moment, a writer more often than a reader, and start another one."""
    writers, players = stage.plan.writers, stage.plan.writers + stage.plan.readers
    while stage.wait(0.05, 0.5):
        is_writer = stage.random.random() < 0.75
        number = stage.random.choice(range(writers) if is_writer else range(writers, players))
        with stage.fault("writer killed" if is_writer else "reader killed"):
            stage.kill_and_replace(number)


SCENARIOS = [
    Scenario(
        name="killed-processes",
        story="writers and readers that are killed at random moments, and replaced",
        fault=kill,
        tweaks=("pauses", "short fences"),
        rest=0.5,
    )
]
