"""Parts of the Django package's own tests, on what they do not run on by themselves: other databases, a cluster.

The whole of them runs by hand, in ``packages/cacheops-django``: ``CACHEOPS_TEST_DB=postgresql python -m pytest tests``,
or with ``mysql``, or with ``CACHEOPS_TEST_SERVER=cluster``.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from databases import Description

TESTS = Path(__file__).parents[1] / "packages/cacheops-django/tests"

BY_DATABASE = ["test_transactions.py", "test_databases.py"]

BY_SERVER = ["test_transactions.py", "test_async_caches.py", "test_prefixes.py", "test_simple.py"]


def run(modules: list[str], **environment: str) -> None:
    """Run some of the tests in a process of their own, which sets Django up in its own way."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("DJANGO_")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *modules]
    done = subprocess.run(
        command,
        cwd=TESTS,
        env=environ | environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]


@pytest.mark.server_databases
def test_transactions_end_as_they_should_on_other_databases(database: Description):
    where = {f"CACHEOPS_TEST_DB_{name}": database[name] for name in ("HOST", "PORT", "USER", "PASSWORD")}
    run(BY_DATABASE, CACHEOPS_TEST_DB=database["ENGINE"].rpartition(".")[2], **where)


def test_the_cache_works_on_a_cluster():
    run(BY_SERVER, CACHEOPS_TEST_SERVER="cluster")
