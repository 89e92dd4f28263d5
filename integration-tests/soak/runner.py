"""Plays scenarios: starts the servers and the processes, lets the time pass, and adds up what is told."""

import multiprocessing
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from ctypes import c_bool, c_int64
from dataclasses import replace
from importlib import import_module
from multiprocessing.sharedctypes import RawArray, RawValue
from pathlib import Path
from typing import Any

from databases import KINDS, Description
from processes import Environment, environment

from cacheops_core.testing import wait_for
from soak.ledger import Ledger
from soak.players import AUDIT, PLAY, STOP_WRITING, WAIT, Part, play
from soak.scenario import Plan, Scenario
from soak.sites import Site
from soak.stage import Stage
from soak.tally import Report, Tally

# A process is there in a moment: it is a copy of one that has imported all this, and opened nothing.
forking = multiprocessing.get_context("forkserver")
forking.set_forkserver_preload(
    [
        *("asgiref.sync", "redis.asyncio", "redis.cluster", "redis.sentinel", "psycopg", "pymysql"),
        *("django.core.management.commands.migrate", "django.db.models", "django.forms", "django.template"),
        *("django.test", "django.views", "cacheops_core.cache", "cacheops_core.cache_async", "soak.players"),
    ]
)

START_SECONDS = 60.0


def run(plan: Plan, scenario: Scenario, progress: Callable[[str], None] | None = None) -> Report:
    """Play a scenario from an empty database and an empty server, to its end."""
    plan = replace(plan, rows=scenario.rows or plan.rows, places=scenario.places or plan.places)
    with ExitStack() as stack:
        database = isolated(stack.enter_context(KINDS[plan.database]()), plan.isolation)
        site = stack.enter_context(scenario.site(plan.server))
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="cacheops-soak-"))
        play = Play(plan, scenario, site, database, Path(folder))
        stack.callback(play.stage.clear)
        return play.run(progress)


def isolated(database: Description, isolation: str | None) -> Description:
    """Return the description of a database with an isolation level, written as its backend takes it."""
    if isolation is None:
        return database
    level: Any = isolation
    if database["ENGINE"].endswith("postgresql"):
        from psycopg import IsolationLevel

        level = IsolationLevel[isolation.replace(" ", "_").upper()].value
    elif not database["ENGINE"].endswith("mysql"):
        raise ValueError(f"isolation is chosen on PostgreSQL and MariaDB only, got {isolation!r} elsewhere")
    return {**database, "OPTIONS": {**database.get("OPTIONS", {}), "isolation_level": level}}


class Play:
    """One scenario on its servers."""

    def __init__(
        self, plan: Plan, scenario: Scenario, site: Site, database: Description, folder: Path
    ) -> None:
        self.plan, self.scenario = plan, scenario
        self._site, self._database = site, database
        self._phase: Any = RawValue(c_int64, WAIT)
        self._ready: Any = RawArray(c_bool, plan.writers + plan.readers)
        ways = (*scenario.reads, *scenario.writes)
        self.tally = Tally(ways, plan.writers + plan.readers, folder)
        self.ledger = Ledger(plan.rows, plan.places, plan.writers, scenario.bound or 0.0)
        self.stage = Stage(plan, scenario, site, self.ledger, self._start)

    def run(self, progress: Callable[[str], None] | None) -> Report:
        """Play it, and return what came out."""
        self._fill()
        stage, plan = self.stage, self.plan
        stage.raise_curtain()
        wait_for(lambda: all(self._ready), START_SECONDS)
        self._phase.value = PLAY
        began = time.monotonic()
        stage.begin(lambda: self._tell(progress, began))
        (self.scenario.fault or _nothing)(stage)
        stage.rest(self.scenario.rest)
        self._phase.value = STOP_WRITING
        stage.gather(range(plan.writers))
        self._phase.value = AUDIT
        stage.gather(range(plan.writers, plan.writers + plan.readers))
        return self._report(time.monotonic() - began)

    def _fill(self) -> None:
        """Make the rows, in a process of its own, and note where they are."""
        ours, theirs = forking.Pipe(duplex=False)
        process = forking.Process(
            target=_fill, args=(theirs, self.scenario.world, self._environ("writer"), self.plan), daemon=True
        )
        process.start()
        theirs.close()
        assert ours.poll(START_SECONDS), "the database was not filled"
        for row, place in enumerate(ours.recv()):
            self.ledger.publish(0, row, 0, place)
        process.join()

    def _start(self, number: int) -> Any:
        role = "writer" if number < self.plan.writers else "reader"
        part = Part(
            plan=self.plan,
            scenario=self.scenario.name,
            environ=self._environ(role),
            ledger=self.ledger,
            tally=self.tally,
            phase=self._phase,
            ready=self._ready,
            number=number,
        )
        process = forking.Process(target=play, args=(part,), daemon=True)
        process.start()
        return process

    def _environ(self, role: str) -> Environment:
        settings = {**self._site.settings(role), **self.scenario.settings}
        return environment(self._database, "", **settings)

    def _tell(self, progress: Callable[[str], None] | None, began: float) -> None:
        if progress is not None:
            progress(str(self._report(time.monotonic() - began)))

    def _report(self, seconds: float) -> Report:
        counts = self.tally.total()
        counts["exceptions"] += self.stage.missing
        isolation = f" {self.plan.isolation}" if self.plan.isolation else ""
        return Report(
            scenario=self.scenario.name,
            place=f"{self.plan.database}{isolation}",
            seconds=seconds,
            counts=counts,
            faults=self.stage.faults,
            examples=self.tally.examples(),
        )


def _nothing(stage: Stage) -> None:
    while stage.wait(1.0):
        pass


def _fill(pipe: Any, world: str, environ: Environment, plan: Plan) -> None:
    module = import_module(world)
    module.begin(environ)
    pipe.send(module.fill(plan.rows, plan.places))
