"""Who takes part: what is installed for each, and what of it runs."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to run the same site."""

    name: str
    title: str
    requirement: str | None = None
    """What is installed in an environment of its own; None for what shares the one that runs the bench."""


CONTENDERS = {
    one.name: one
    for one in (
        Contender("none", "no cache"),
        Contender("cachalot", "cachalot", "django-cachalot"),
        Contender("7.2", "cacheops 7.2", "django-cacheops==7.2"),
        Contender("ours", "ours"),
        Contender("near", "ours, near"),
    )
}
"""In the order in which they are shown."""

SHARED = ("django", "redis", "hiredis", "jinja2", "psycopg")
"""Distributions whose versions are the same for all."""


def interpreter(contender: Contender, folder: Path) -> Path:
    """Return the Python that runs a contender, in an environment that is made if it is not there."""
    if contender.requirement is None:
        return Path(sys.executable)
    place = folder / f"{contender.name}-{sys.version_info.major}.{sys.version_info.minor}"
    python, done = place / "bin" / "python", place / "installed"
    # Not as pip says it: a cache of another distribution may ask for an older client, and would not get it.
    wanted = "\n".join([contender.requirement, *(f"{name}=={version(name)}" for name in SHARED)])
    if not done.exists() or done.read_text() != wanted:
        venv.create(place, with_pip=True, clear=True)
        # Wheels only: psycopg alone would look for a C library of PostgreSQL.
        wheels = [one.replace("psycopg==", "psycopg[binary]==") for one in wanted.split("\n")]
        subprocess.run([python, "-m", "pip", "install", "-q", *wheels], check=True)
        done.write_text(wanted)
    return python


def environment(contender: Contender, *, source: bool) -> dict[str, str]:
    """Return the environment variables of a contender's processes."""
    found = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "COVERAGE", "DJANGO"))
    }
    paths = [str(ROOT / "benchmarks")]
    if source and contender.requirement is None:
        paths += [str(path) for path in sorted(ROOT.glob("packages/*/src"))]
    found |= {"PYTHONPATH": os.pathsep.join(paths), "BENCH_CONTENDER": contender.name}
    found |= {"DJANGO_SETTINGS_MODULE": "bench.settings", "PYTHONHASHSEED": "0"}
    return found
