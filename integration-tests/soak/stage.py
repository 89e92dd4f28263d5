"""The main process's view of a scenario that is being played: the processes, the servers, the time."""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from soak.ledger import Ledger
from soak.scenario import Plan, Scenario
from soak.sites import Site


class Stage:
    """What a fault can do."""

    def __init__(
        self, plan: Plan, scenario: Scenario, site: Site, ledger: Ledger, start: Callable[[int], Any]
    ) -> None:
        self.plan, self.scenario, self.site, self.ledger = plan, scenario, site, ledger
        self.random = random.Random(f"{plan.seed} faults")
        self.faults: Counter[str] = Counter()
        self.missing = 0
        """Processes that have ended without having been told to."""
        self._start = start
        self._players: list[Any] = []
        self._deadline = 0.0
        self._tick: Callable[[], None] = lambda: None

    # Time

    def raise_curtain(self) -> None:
        """Start the processes, which wait for each other."""
        self._players = [self._start(number) for number in range(self.plan.writers + self.plan.readers)]

    def begin(self, tick: Callable[[], None]) -> None:
        """Let the time begin; ``tick`` is called now and then while it passes."""
        self._deadline, self._tick = time.monotonic() + self.plan.seconds, tick

    def rest(self, seconds: float) -> None:
        """Let some time pass without faults."""
        self._deadline = time.monotonic() + seconds
        while self.wait(seconds):
            pass

    def wait(self, least: float, most: float | None = None) -> bool:
        """Let some time pass; return whether there is any left."""
        pause = least if most is None else self.random.uniform(least, most)
        until = min(time.monotonic() + pause, self._deadline)
        while (now := time.monotonic()) < until:
            self._tick()
            time.sleep(min(0.5, until - now))
        return time.monotonic() < self._deadline

    # Faults

    @contextmanager
    def fault(self, name: str) -> Iterator[None]:
        """Count a fault, and apply the bound that the scenario has for it."""
        self.faults[name] += 1
        if self.scenario.bound is None:
            yield
            return
        self.ledger.open_window()
        try:
            yield
        finally:
            self.ledger.close_window()

    def kill_and_replace(self, number: int) -> None:
        """Kill a process as a crash would, and start another one in its place."""
        self._players[number].kill()
        self._players[number].join()
        self._players[number] = self._start(number)

    # The end

    def gather(self, numbers: range, patience: float = 60.0) -> None:
        """Wait until these processes have ended of themselves, and count those that do not or that have failed."""
        deadline = time.monotonic() + patience
        for number in numbers:
            player = self._players[number]
            player.join(max(0.0, deadline - time.monotonic()))
            self.missing += player.exitcode != 0

    def clear(self) -> None:
        """Kill what still runs."""
        for player in self._players:
            player.kill()
            player.join()
