"""The process of one contender: does what it is told over its standard input, a line of JSON at a time.

Everything else that is printed goes to standard error, so that no library's greeting is taken for an answer.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter, process_time
from typing import Any

import django

SLICE = 0.03
"""Seconds that a slice takes, about."""


class Worker:
    """The site of one contender, and the action that it is about to measure."""

    def __init__(self) -> None:
        django.setup()
        from django.db import connection

        from .tools import NotSupportedError

        self._connection, self._unsupported = connection, NotSupportedError
        self._action: Any = None
        self._arguments: list[Any] = []

    def create(self) -> None:
        """Create and fill the tables."""
        from django.core.management import call_command

        from .shop.models import fill_tables

        call_command("migrate", run_syncdb=True, verbosity=0)
        fill_tables()

    def prepare(self, name: str) -> dict[str, Any]:
        """Make an action ready; return its answers (cold and warm), and how often the warm one asked the database."""
        from .reads import READS, shown
        from .writes import WRITES

        try:
            self._action = (READS | WRITES)[name]()
        except self._unsupported:
            return {"is_supported": False}
        cold = shown(self._action.answer())
        with self._counted() as queries:
            warm = shown(self._action.answer())
        return {"is_supported": True, "answers": [repr(cold), repr(warm)], "queries": len(queries)}

    def calibrate(self) -> int:
        """Return how many calls fill a slice."""
        calls = 1
        while (wall := self.slice(calls)[0]) < SLICE / 4:
            calls *= 2
        return max(1, round(calls * SLICE / wall))

    def slice(self, calls: int) -> tuple[float, float]:
        """Return the seconds, wall and of this process's CPU, of so many calls."""
        self.get_ready(calls)
        spent = self.run()
        self.finish()
        return spent

    def get_ready(self, calls: int) -> None:
        """Make what is passed to so many calls, and what there must be before them."""
        self._arguments = [*self._action.arguments(calls)]

    def run(self) -> tuple[float, float]:
        """Do the calls that are ready; return the seconds, wall and of this process's CPU."""
        call, arguments = self._action.call, self._arguments
        wall, cpu = perf_counter(), process_time()
        for argument in arguments:
            call(argument)
        cpu, wall = process_time() - cpu, perf_counter() - wall
        return wall, cpu

    def finish(self) -> None:
        """Tidy up after the calls."""
        self._action.finish()

    def answer(self) -> str:
        """Return the action's answer once more."""
        from .reads import shown

        return repr(shown(self._action.answer()))

    def hits(self, seconds: float) -> float:
        """Return the hits per second of a process that does nothing else for so long."""
        call, calls, wall = self._action.call, 0, perf_counter()
        while (elapsed := perf_counter() - wall) < seconds:
            for _ in range(20):
                call(None)
            calls += 20
        return calls / elapsed

    # Many dependents

    def crowd(self, name: str) -> bool:
        """Make a write to what many entries depend on ready; return whether this contender has it."""
        from .writes import crowded

        try:
            self._action = crowded(name)
        except self._unsupported:
            return False
        return True

    def fill(self, start: int, stop: int) -> None:
        """Store so many entries."""
        from .writes import fill

        fill(start, stop)

    def is_dropped(self) -> bool:
        """Tell whether one of these entries is not served any more."""
        from .writes import is_dropped

        return is_dropped()

    def store(self, kind: str, entries: int) -> None:
        """Store so many entries: objects got by primary key, or lists of 20."""
        from .shop.models import Product

        for number in range(1, entries + 1):
            if kind == "get":
                Product.objects.get(pk=number)
            else:
                list(Product.objects.filter(pk__gt=number).order_by("pk")[:20])

    @contextmanager
    def _counted(self) -> Iterator[list[str]]:
        asked: list[str] = []

        def watch(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
            asked.append(sql)
            return execute(sql, params, many, context)

        with self._connection.execute_wrapper(watch):
            yield asked


def main() -> None:
    """Obey until nobody orders any more."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    worker: Worker | None = None
    for line in sys.stdin:
        order, *arguments = json.loads(line)
        try:
            if worker is None:
                worker = Worker()
            answer = {"returned": getattr(worker, order)(*arguments)}
        except Exception:
            answer = {"raised": traceback.format_exc()}
        answers.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
