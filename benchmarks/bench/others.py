"""What is measured in ways of its own: bytes, imports, and many clients at once."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import ExitStack

from .results import Report, Series
from .site import Grounds, Site

ENTRIES = 1_000
IMPORTS = 15
CLIENTS = (1, 2, 4, 8)
CLIENT_SECONDS = 1.0


def weigh(sites: list[Site], report: Report) -> None:
    """Note the bytes that an entry takes with all its bookkeeping."""
    for kind in ("get", "fetch 20"):
        found = report.bytes_per_entry[kind] = {}
        for site in sites:
            if site.name != "none":
                site.empty()
                site.process.do("store", kind, ENTRIES)
                found[site.name] = site.weigh() / ENTRIES
                site.empty()


def time_imports(grounds: Grounds, sites: list[Site], report: Report) -> None:
    """Note the time of a process that imports Django and sets the site up, in turns."""
    report.imports = {site.name: Series() for site in sites}
    for turn in range(IMPORTS + 1):
        for name, series in report.imports.items():
            wall, cpu = _run(grounds, name)
            if turn:  # the first one compiles
                series.wall.append(wall * 1e6)
                series.cpu.append(cpu * 1e6)


def _run(grounds: Grounds, name: str) -> tuple[float, float]:
    command = [grounds.interpreter(name), "-c", "import django; django.setup()"]
    began = time.perf_counter()
    process = subprocess.Popen(command, env=grounds.environ(name))
    _, status, usage = os.wait4(process.pid, 0)
    wall, process.returncode = time.perf_counter() - began, os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{name} cannot be imported: status {process.returncode}")
    return wall, usage.ru_utime + usage.ru_stime


def crowd(grounds: Grounds, sites: list[Site], report: Report) -> None:
    """Note the hits per second of several client processes together."""
    report.hits = {clients: {} for clients in CLIENTS}
    for site in sites:
        with ExitStack() as stack:
            processes = [stack.enter_context(grounds.another(site.name)) for _ in range(max(CLIENTS))]
            for process in processes:
                process.do("prepare", "get")
            for clients in CLIENTS:
                for process in processes[:clients]:
                    process.begin("hits", CLIENT_SECONDS)
                report.hits[clients][site.name] = sum(process.result() for process in processes[:clients])
