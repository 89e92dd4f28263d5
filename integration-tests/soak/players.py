"""What a process of a scenario does, from its start to its end."""

import logging
import random
import sys
import time
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from processes import Environment

from cacheops_core.errors import BackendError
from soak.judge import Judge
from soak.ledger import Ledger
from soak.scenario import Plan, Scenario
from soak.tally import Counts, Tally
from soak.tweaks import SABOTAGE, TWEAKS

WAIT, PLAY, STOP_WRITING, AUDIT = range(4)
"""What a scenario comes to, in this order: all processes start, play, the writers end, the readers look back."""

TOO_MANY_EXCEPTIONS = 100
"""After so many a process ends: nothing new is to be learnt from it."""

BREATH = 0.01
"""Seconds before somebody who was refused tries again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one process needs to know to take part."""

    plan: Plan
    scenario: str
    environ: Environment
    ledger: Ledger
    tally: Tally
    phase: Any
    """The number of what the scenario has come to, in shared memory."""
    ready: Any
    """Whether each process is ready to play, in shared memory."""
    number: int
    """Writers first, then readers."""


class Conflict(Exception):
    """The database has ended this transaction for the sake of another one."""


class GiveUp(Exception):
    """A writer has done nothing, or has taken back what it did."""


class Player:
    """One process: whoever plays it does one thing after another, and tells what comes of it."""

    def __init__(self, part: Part, scenario: Scenario) -> None:
        self.part, self.scenario = part, scenario
        self.counts: Counts = part.tally.of(part.number)
        self.judge = Judge(part.ledger, self.counts, scenario.lag)
        self._exceptions = 0

    @property
    def role(self) -> str:
        return "writer" if self.part.number < self.part.plan.writers else "reader"

    def is_playing(self) -> bool:
        """Tell whether to go on; readers do so while the writers come to an end."""
        last = PLAY if self.role == "writer" else STOP_WRITING
        return self.part.phase.value <= last and self._exceptions < TOO_MANY_EXCEPTIONS

    def wait_for(self, phase: int) -> None:
        while self.part.phase.value < phase:
            time.sleep(0.01)

    def attempt(self, act: Callable[[], None]) -> None:
        """Do something, and count what it raises."""
        try:
            act()
        except Exception as error:
            if self.note(error):
                time.sleep(BREATH)

    async def attempt_async(self, act: Callable[[], Awaitable[None]]) -> bool:
        """Do something, and count what it raises; return whether it is better to pause."""
        try:
            await act()
        except Exception as error:
            return self.note(error)
        return False

    def note(self, error: Exception) -> bool:
        """Count an exception; return whether it is better to pause before the next attempt."""
        if isinstance(error, GiveUp):
            return False
        if isinstance(error, Conflict):
            self.counts.add("conflicts")
        elif isinstance(error, BackendError) and self.scenario.may_refuse:
            self.counts.add("refused")
            return True
        else:
            self._exceptions += 1
            self.counts.add("exceptions")
            self.counts.tell(f"{self.role} {self.part.number}: {''.join(traceback.format_exception(error))}")
        return False


def play(part: Part) -> None:
    """Play a part to its end; this is what the process is started for."""
    from soak.scenarios import SCENARIOS

    scenario = SCENARIOS[part.scenario]
    # Errors of the server are what many scenarios are about; they are counted, and need not be told as well.
    logging.getLogger("cacheops").addHandler(logging.NullHandler())
    logging.getLogger("cacheops").propagate = False
    player = Player(part, scenario)
    try:
        _play(player)
    except Exception as error:
        player.note(error)
        sys.exit(1)


def _play(player: Player) -> None:
    part, scenario = player.part, player.scenario
    world = import_module(scenario.world)
    world.begin(part.environ)
    for cache in world.caches():
        for tweak in scenario.tweaks:
            TWEAKS[tweak](cache, part.number)
        role, sabotage = SABOTAGE.get(part.plan.sabotage or "", ("", None))
        if sabotage and role == player.role:
            sabotage(cache)
    actor = world.Writer(player) if player.role == "writer" else world.Reader(player)
    part.ready[part.number] = True
    player.wait_for(PLAY)
    if player.role == "writer":
        while player.is_playing():
            player.attempt(actor.write)
            time.sleep(scenario.pace * 2 * random.random())
        return
    actor.play()
    player.wait_for(AUDIT)
    time.sleep(scenario.lag)
    actor.audit()
