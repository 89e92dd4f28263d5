"""Runs one module's tests in a process of its own, without the cache and with it."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django_tests.reports import Report

HERE = Path(__file__).parents[1]

PATIENCE = 1800.0
"""Seconds after which a module's process has failed."""

LENGTH = 3000
"""Characters of what a process has printed that are told, from the end."""


class NoReport(Exception):
    """A process has not come to its end, so that nothing is known of its tests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where tests run."""

    tests: Path
    """The folder of Django's tests."""
    folder: Path
    """A folder for what tests leave behind, and for reports."""
    databases: Mapping[str, Any]
    server: str
    """The URL of the cache's server."""
    is_missing: bool
    """Whether every lookup is to be a miss."""

    def run(self, label: str, *, is_cached: bool) -> Report:
        """Run what a label names, and return the report."""
        saved, log = self.folder / "report.json", self.folder / "log.txt"
        saved.unlink(missing_ok=True)
        command = [sys.executable, "-m", "django_tests.suite", label, str(saved)]
        with log.open("w") as output, suppress(subprocess.TimeoutExpired):
            subprocess.run(
                [*command, "--cached"] if is_cached else command,
                cwd=self.tests,
                env=self._environ(),
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                timeout=PATIENCE,
                check=False,
            )
        if not saved.exists():
            told = log.read_text(errors="replace")[-LENGTH:]
            raise NoReport(f"{label} {'with' if is_cached else 'without'} the cache:\n{told}")
        return Report.load(saved)

    def _environ(self) -> dict[str, str]:
        # Others may have been set for a project: Django's tests look at what is there.
        environ = {name: value for name, value in os.environ.items() if not name.startswith("DJANGO_")}
        ours = {
            "DJANGO_SETTINGS_MODULE": "django_tests.settings",
            "DJANGO_TESTS_DATABASES": json.dumps(self.databases),
            "DJANGO_TESTS_SERVER": self.server,
            "PYTHONPATH": os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]),
            "TMPDIR": str(self.folder),
        }
        return environ | ours | ({"DJANGO_TESTS_MISS": "1"} if self.is_missing else {})
