"""The demo for all tests of it: loaded once with the airports of three countries, and served once."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from browsers import Browser, browsing
from demo_runs import COUNTRIES, MANAGE, Run, runner, serving


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Where the demo finds a folder of its own for its data, and one for its server."""
    folder = tmp_path_factory.mktemp("demo")
    ours = {"HOME": str(folder), "CACHEOPS_DEMO_DATA": str(folder / "data"), "COLUMNS": "120"}
    return os.environ | ours | {"DJANGO_SETTINGS_MODULE": "settings", "PYTHONUNBUFFERED": "1"}


@pytest.fixture(scope="session")
def run(environment: dict[str, str]) -> Run:
    """Runs a script to its end."""
    return runner(environment)


@pytest.fixture(scope="session")
def loaded(run: Run) -> str:
    """What is printed when the airports of three countries are loaded."""
    done = run(MANAGE, "load", "--only", *COUNTRIES)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def address(environment: dict[str, str], loaded: str) -> Iterator[str]:
    """Where the site is served."""
    with serving(environment, "--port", "18000") as url:
        yield url


@pytest.fixture(scope="session")
def browser(address: str) -> Iterator[Browser]:
    """A browser, for all tests that look at pages."""
    with browsing() as browser:
        yield browser
