"""The file cache beside diskcache and Django's file backend: get, set, and the time to import.

Each is measured in short slices, one cache after another, again and again, so that whatever else the machine
does falls on all of them alike; what is printed are medians over the slices, wall time and this process's CPU time.
``python benchmarks/filecache.py [SECONDS]`` takes that long for all sizes together.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diskcache
from django.conf import settings
from django.core.cache.backends.filebased import FileBasedCache
from rich.console import Console
from rich.table import Table

from cacheops_filecache import FileCache

SIZES = {"100 B": 100, "10 kB": 10_000, "1 MB": 1_000_000}
KEYS = [f"key-{number}" for number in range(20)]
"""Enough to write to different files, few enough to be overwritten all the time."""

SLICE_SECONDS = 0.02
IMPORTS = {
    "cacheops-filecache": "from cacheops_filecache import file_cache",
    "diskcache": "import diskcache",
    "Django": "from django.core.cache.backends.filebased import FileBasedCache",
    "(nothing)": "pass",
}

Slices = dict[tuple[str, str, str], list[tuple[float, float]]]


def caches(directory: str) -> dict[str, Any]:
    """Return the three caches, set up as their documentation begins."""
    settings.configure()
    return {
        "cacheops-filecache": FileCache(Path(directory) / "ours", timeout=600),
        "diskcache": diskcache.Cache(f"{directory}/diskcache"),
        "Django": FileBasedCache(f"{directory}/django", {"TIMEOUT": 600}),
    }


def values(size: int) -> dict[str, Any]:
    """Return a value as bytes and one as a list of short texts, of about that many bytes when pickled."""
    return {"bytes": os.urandom(size), "list": [f"item {number:06}" for number in range(size // 14)]}


def measure(action: Callable[[str], Any]) -> tuple[float, float]:
    """Return the wall and CPU seconds of one call, from as many as fit a slice."""
    calls, wall, cpu = 0, time.perf_counter(), time.process_time()
    while (elapsed := time.perf_counter() - wall) < SLICE_SECONDS:
        action(KEYS[calls % len(KEYS)])
        calls += 1
    return elapsed / calls, (time.process_time() - cpu) / calls


def setter(cache: Any, value: Any) -> Callable[[str], Any]:
    """Return what stores a value; diskcache has no default timeout, so it is told one, as the others are."""
    if isinstance(cache, diskcache.Cache):
        return lambda key: cache.set(key, value, expire=600)
    return lambda key: cache.set(key, value)


def run(directory: str, seconds: float) -> Slices:
    """Measure all caches in turns until the time is over."""
    slices: Slices = defaultdict(list)
    measured = caches(directory)
    for name, size in SIZES.items():
        for kind, value in values(size).items():
            for cache in measured.values():
                for key in KEYS:
                    setter(cache, value)(key)
                assert cache.get(KEYS[0]) == value
            deadline = time.monotonic() + seconds / len(SIZES) / 2
            while time.monotonic() < deadline:
                for label, cache in measured.items():
                    slices[f"{name} {kind}", "get", label].append(measure(cache.get))
                    slices[f"{name} {kind}", "set", label].append(measure(setter(cache, value)))
    return slices


def shown(slices: Slices) -> Table:
    """Return the medians in microseconds, wall and CPU, the fastest in bold."""
    table = Table("size", "call", *list(IMPORTS)[:3], title="microseconds per call: wall (CPU), medians")
    for size, call in dict.fromkeys((size, call) for size, call, _ in slices):
        medians = {
            label: [statistics.median(times) * 1e6 for times in zip(*slices[size, call, label], strict=True)]
            for label in list(IMPORTS)[:3]
        }
        best = min(wall for wall, _ in medians.values())
        cells = (
            f"{'[bold]' if wall == best else ''}{wall:,.1f} ({cpu:,.1f})" for wall, cpu in medians.values()
        )
        table.add_row(size, call, *cells)
    return table


def import_times() -> Table:
    """Return how long a process takes that only imports; bytecode is compiled before, as it is on a user's machine."""
    with tempfile.TemporaryDirectory() as bytecode:
        env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        env["PYTHONPYCACHEPREFIX"] = bytecode
        times: dict[str, list[float]] = defaultdict(list)
        for turn in range(11):
            for label, statement in IMPORTS.items():
                began = time.perf_counter()
                subprocess.run([sys.executable, "-c", statement], env=env, check=True)
                if turn:
                    times[label].append(time.perf_counter() - began)
    table = Table(*IMPORTS, title="milliseconds of a process that imports it, medians")
    table.add_row(*(f"{statistics.median(times[label]) * 1e3:.1f}" for label in IMPORTS))
    return table


def main() -> None:
    """Measure and print."""
    console = Console()
    with (
        tempfile.TemporaryDirectory() as directory,
        console.status("measuring"),
    ):
        slices = run(directory, float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
    console.print(shown(slices))
    console.print(import_times())


if __name__ == "__main__":
    main()
