"""Fixtures of the tests that run the whole: real databases, a real server, several processes."""

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import redis

sys.path.insert(0, str(Path(__file__).parent))

from browsers import why_no_browser
from databases import KINDS, Description, why_not
from processes import Actor, Company, company, create_tables, environment, set_up
from soak.runner import run
from soak.scenario import Plan
from soak.scenarios import SCENARIOS
from soak.tally import Report, table

from cacheops_core.testing import Server, start_server
from cacheops_core.testing.plugin import redis_client, servers_to_test

__all__ = ["redis_client"]

NO_SERVER = "redis://127.0.0.1:1/0"

NEEDS_BROWSER = "test_browser.py"

missing = pytest.StashKey[dict[str, str]]()
told = pytest.StashKey[list[str]]()
no_browser = pytest.StashKey[str | None]()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out what needs a browser where there is none; that is told at the end."""
    return (collection_path.name == NEEDS_BROWSER and config.stash[no_browser] is not None) or None


soaked = pytest.StashKey[list[Report]]()


def pytest_configure(config: pytest.Config) -> None:
    """Find out which databases are there; those that are not are named at the end, or are an error. So is a browser."""
    config.addinivalue_line("markers", "one_database: whatever the database, this comes out the same")
    config.addinivalue_line("markers", "server_databases: for databases that are servers")
    # The processes that tests start find the project's modules as this one does.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    # This process only tells the others what to do. To name their functions it has to import the models.
    set_up(environment({"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}, NO_SERVER))
    found = {kind: reason for kind in KINDS if (reason := why_not(kind))}
    if found and os.environ.get("CACHEOPS_REQUIRE_DATABASES") == "1":
        raise pytest.UsageError(f"CACHEOPS_REQUIRE_DATABASES is 1, but {_told(found)}")
    config.stash[no_browser] = why_no_browser()
    if config.stash[no_browser] and os.environ.get("CACHEOPS_REQUIRE_BROWSER") == "1":
        raise pytest.UsageError(f"CACHEOPS_REQUIRE_BROWSER is 1, but {config.stash[no_browser]}")
    config.stash[missing] = found
    config.stash[told] = []
    config.stash[soaked] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Tell what was measured, and name what was not tested."""
    for line in config.stash[told]:
        terminalreporter.write_line(line)
    if reports := config.stash[soaked]:
        terminalreporter.write_line("\n".join(table(reports)))
    for line in _told(config.stash[missing]).split("; "):
        if line:
            terminalreporter.write_line(f"not tested: {line}", yellow=True)
    if reason := config.stash[no_browser]:
        terminalreporter.write_line(f"not tested: pages in a browser ({reason})", yellow=True)


def _told(reasons: dict[str, str]) -> str:
    return "; ".join(f"{kind} ({reason})" for kind, reason in reasons.items())


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test of databases on each one that is there, and with each kind of server on the first of them."""
    names = metafunc.fixturenames
    kinds = [kind for kind in KINDS if kind not in metafunc.config.stash[missing]]
    if metafunc.definition.get_closest_marker("one_database"):
        kinds = kinds[:1]
    if metafunc.definition.get_closest_marker("server_databases"):
        kinds = [kind for kind in kinds if not kind.startswith("sqlite")]
    first, *others = servers_to_test()
    if "database_kind" in names and "redis_server" in names:
        pairs = [(kind, first) for kind in kinds] + [(kinds[0], other) for other in others]
        metafunc.parametrize(
            ("database_kind", "redis_server"), pairs, indirect=["redis_server"], scope="session"
        )
    elif "database_kind" in names:
        metafunc.parametrize("database_kind", kinds, scope="session")
    elif "redis_server" in names:
        metafunc.parametrize("redis_server", [first, *others], indirect=True, scope="session")


@pytest.fixture(scope="session")
def redis_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server for all tests, of the kind that `pytest_generate_tests` asks for."""
    with start_server(request.param) as server:
        yield server


@pytest.fixture(scope="session")
def database(database_kind: str) -> Iterator[Description]:
    """A database of each kind, with the project's tables."""
    with KINDS[database_kind]() as described, company(environment(described, NO_SERVER)) as actors:
        actors.actor().do(create_tables)
        yield described


@pytest.fixture(scope="session")
def project(database: Description, redis_server: Server) -> Iterator[Company]:
    """Processes of one project, with that database and that server."""
    with company(environment(database, redis_server.url)) as actors:
        yield actors


@pytest.fixture
def tell(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Keeps a line for the end of the run, where figures are told."""
    return pytestconfig.stash[told].append


@pytest.fixture
def actor(project: Company, redis_client: redis.Redis) -> Iterator[Callable[[], Actor]]:
    """Gives a test processes of the project, whose cache is empty."""
    yield project.actor
    project.rest()


@pytest.fixture
def soak(pytestconfig: pytest.Config) -> Callable[[str, Plan], Report]:
    """Plays the short form of a scenario; all that are played make a table at the end of the run."""

    def played(name: str, plan: Plan) -> Report:
        if plan.database in pytestconfig.stash[missing]:
            plan = replace(plan, database="sqlite", isolation=None)
        report = run(replace(plan, seconds=SCENARIOS[name].short), SCENARIOS[name])
        pytestconfig.stash[soaked].append(report)
        return report

    return played
