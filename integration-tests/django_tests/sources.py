"""Django's tests, which are not installed with it: they come with the sources of the installed version."""

import subprocess
import sys
import tarfile
from pathlib import Path

import django

NOT_MODULES = frozenset({"gis_tests", "import_error_package", "test_runner_apps"})
"""Packages beside the modules: Django's runner passes them over too, unless databases know geometries."""


class NoSources(Exception):
    """pip has not brought the sources."""


def tests_in(folder: Path) -> Path:
    """Return the folder of Django's tests, having unpacked the sources in this folder if they are not there yet."""
    tests = folder / f"django-{django.get_version()}" / "tests"
    if not tests.is_dir():
        with tarfile.open(_download(folder)) as archive:
            archive.extractall(folder, filter="data")
    return tests


def _download(folder: Path) -> Path:
    requirement = f"django=={django.get_version()}"
    # Only Django itself from source: with ":all:" pip builds its build tools from theirs as well.
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary=django", requirement]
    done = subprocess.run([*command, f"--dest={folder}"], stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise NoSources(f"pip could not download the sources of {requirement}:\n{done.stderr.strip()}")
    return folder / f"django-{django.get_version()}.tar.gz"


def modules_in(tests: Path) -> list[str]:
    """Return the names of all modules of tests that are there."""
    names = {path.parent.name for path in tests.glob("*/__init__.py")}
    return sorted(names - NOT_MODULES)
