"""Drives all sites through each operation, a slice of one after a slice of another, in an order that rotates."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from .operations import Operation
from .processes import WorkerFailed
from .proxy import Proxy
from .results import BASE, Result, Series
from .site import Site

COUNTED_CALLS = 10
"""Calls in which round trips are counted, where a call is short."""

Progress = Callable[[str], None]


class Runner:
    """Measures the operations of some sites."""

    def __init__(self, sites: list[Site], proxy: Proxy, *, slices: int, seconds: float | None) -> None:
        self._sites, self._proxy = sites, proxy
        self._slices, self._seconds = slices, seconds

    def measure(self, operation: Operation, mistakes: list[str]) -> Result:
        """Return what an operation costs each contender that does it, and does it right."""
        result = Result(operation)
        calls: dict[str, int] = {}
        answers = {site.name: self._prepare(site, operation, result, mistakes) for site in self._sites}
        truth = answers.get(BASE) or next((told for told in answers.values() if told), None)
        for site in self._sites:
            if site.name in result.absent:
                continue
            if not truth or not _is_right(operation, answers[site.name], truth[0]):
                result.absent[site.name] = "wrong"
                mistakes.append(f"{site.contender.title}, {operation.title}: {answers[site.name]}"[:500])
                continue
            calls[site.name] = site.process.do("calibrate")
            result.series[site.name] = Series()
        for sites in self._rounds(site for site in self._sites if site.name in calls):
            for site in sites:
                wall, cpu = site.process.do("slice", calls[site.name])
                _note(result.series[site.name], wall, cpu, calls[site.name])
        for site in self._sites:
            if site.name in calls:
                if not _is_right(operation, [site.process.do("answer")], truth[0] if truth else ""):
                    result.absent[site.name] = "wrong"
                    mistakes.append(f"{site.contender.title}, {operation.title}: wrong at the end")
                    del result.series[site.name]
                elif site.name != BASE or operation.name == "floor":
                    self._count(site, operation, calls[site.name], result.series[site.name])
        return result

    def _prepare(self, site: Site, operation: Operation, result: Result, mistakes: list[str]) -> list[str]:
        try:
            told = site.process.do("prepare", operation.name)
        except WorkerFailed as error:
            result.absent[site.name] = "fails"
            reason = str(error).strip().rsplit("\n", 1)[-1]
            mistakes.append(f"{site.contender.title}, {operation.title}: {reason}")
            return []
        if not told["is_supported"]:
            result.absent[site.name] = "-"
            return []
        is_uncached = operation.kind == "read" and site.name != BASE and told["queries"]
        if is_uncached:
            result.absent[site.name] = "not cached"
        return list(told["answers"])

    def _rounds(self, sites: Iterator[Site]) -> Iterator[list[Site]]:
        order, began = list(sites), time.monotonic()
        number = 0
        while order and (
            time.monotonic() - began < self._seconds if self._seconds else number < self._slices
        ):
            shift = number % len(order)
            yield order[shift:] + order[:shift]
            number += 1

    def _count(self, site: Site, operation: Operation, calls: int, series: Series) -> None:
        number = min(COUNTED_CALLS, calls)
        site.counted.do("prepare", operation.name)
        # A first time, in which connections are made and scripts are loaded.
        site.counted.do("slice", number)
        site.counted.do("get_ready", number)
        before = self._proxy.trips
        site.counted.do("run")
        series.trips = (self._proxy.trips - before) / number
        site.counted.do("finish")

    # Many dependents

    def measure_crowded(
        self, operations: list[Operation], mistakes: list[str], progress: Progress, samples: int
    ) -> Iterator[Result]:
        """Yield what operations cost that drop many entries, which are brought back each time."""
        (dependents,) = {operation.dependents for operation in operations}
        cached = [site for site in self._sites if site.name != BASE]
        progress(f"storing {dependents:,} entries")
        for site in cached:
            site.empty()
            site.process.begin("fill", 0, dependents)
        for site in cached:
            site.process.result()
            site.snapshot()
        for operation in operations:
            progress(operation.title)
            yield self._crowded(operation, mistakes, samples)
        for site in cached:
            site.empty()

    def _crowded(self, operation: Operation, mistakes: list[str], samples: int) -> Result:
        result, name = Result(operation), operation.name.rsplit("_", 1)[0]
        able = []
        for site in self._sites:
            if site.process.do("crowd", name):
                able.append(site)
                result.series[site.name] = Series()
            else:
                result.absent[site.name] = "-"
        for number in range(samples):
            shift = number % len(able)
            for site in able[shift:] + able[:shift]:
                if site.name != BASE:
                    site.restore()
                _note(result.series[site.name], *site.process.do("slice", 1), 1)
                if site.name != BASE and not site.process.do("is_dropped"):
                    mistakes.append(f"{site.contender.title}, {operation.title}: an old answer is served")
        return result


def _note(series: Series, wall: float, cpu: float, calls: int) -> None:
    series.wall.append(wall / calls * 1e6)
    series.cpu.append(cpu / calls * 1e6)


def _is_right(operation: Operation, answers: list[str], truth: str) -> bool:
    if operation.kind == "write":
        truth = repr("str 'right'")
    return bool(answers) and all(answer == truth for answer in answers)
