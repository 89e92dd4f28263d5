"""A scenario: what readers and writers do, on which servers, and what goes wrong meanwhile."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from soak.sites import Site, one_server

if TYPE_CHECKING:
    from soak.stage import Stage

READS = ("get", "list", "count", "exists", "aggregate")

WRITES = {
    "save": 6,
    "save in a block": 6,
    "several saves": 2,
    "bulk_update": 2,
    "delete and create": 2,
    "rollback": 2,
    "savepoint rollback": 2,
}


DEGRADING: Mapping[str, Any] = {"CACHEOPS_DEGRADE_ON_FAILURE": True}
"""Settings with which the site goes on without the cache while the server is away."""

AFTER_FAULT = 1.0
"""Seconds after a fault in which a process has sent what it could not send during the fault: half of one for an attempt
that still waits for an answer, the pause after it, and what a busy machine adds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How to run scenarios: the same for all of them."""

    database: str = "sqlite"
    """A key of `databases.KINDS`."""
    isolation: str | None = None
    """How transactions are kept apart, as the database calls it; None is Django's default."""
    server: str = "auto"
    """What `start_server` takes."""
    seconds: float = 10.0
    writers: int = 2
    readers: int = 3
    rows: int = 300
    places: int = 100
    seed: int = 0
    sabotage: str | None = None
    """A key of `tweaks.SABOTAGE`: what to break on purpose, to see that stale reads are found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One line of the closing table."""

    name: str
    story: str
    """One sentence on what happens."""

    world: str = "soak.worlds.shop"
    """The module of what is read and written: `worlds` says what it has."""
    reads: tuple[str, ...] = READS
    writes: Mapping[str, int] = field(default_factory=lambda: WRITES)
    """Ways of writing, with how often each is taken compared with the rest."""
    pace: float = 0.0
    """Seconds that a writer pauses after each write, on average."""
    tweaks: tuple[str, ...] = ()
    """Keys of `tweaks.TWEAKS`: what is different in each process."""

    site: Callable[[str], AbstractContextManager[Site]] = one_server
    """Starts the servers, of the kind that the plan names."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the project that are different."""
    fault: "Callable[[Stage], None] | None" = None
    """Injects faults until the stage says that the time is over, and leaves everything whole."""

    may_refuse: bool = False
    """Whether a read or a write may fail with the error that says that the server is away."""
    bound: float | None = None
    """Seconds after a fault in which reads may be stale, as during it; None if they may be at no time."""
    lag: float = 0.0
    """Seconds by which a read may be behind at any time."""
    rest: float = 0.0
    """Seconds without faults before the writers stop."""
    short: float = 2.0
    """Seconds of the short form."""
    rows: int | None = None
    places: int | None = None
    """How many there are, if not as many as the plan says."""

    def strict(self) -> "Scenario":
        """Return the same for a site that raises errors, before COMMIT, while the server is away."""
        return replace(
            self,
            name=f"{self.name}-strict",
            story=f"{self.name} where errors are raised before COMMIT: at no time may a read be stale",
            settings={},
            bound=None,
            may_refuse=True,
        )
