"""The Django package's random programs of reads and writes, many of them: each answer is what the database says."""

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent.parent / "packages" / "cacheops-django" / "tests"

EXAMPLES = os.environ.get("CACHEOPS_TEST_EXAMPLES", "50")
"""Of each of the three kinds of program: a hundred and fifty programs by default."""


def test_no_random_program_of_reads_and_writes_gets_an_answer_that_the_database_would_not_give() -> None:
    # In a process of its own: those tests have settings and models of their own.
    environ = os.environ | {"CACHEOPS_TEST_EXAMPLES": EXAMPLES}
    environ.pop("DJANGO_SETTINGS_MODULE", None)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_random.py"],
        check=False,
        cwd=TESTS,
        env=environ,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "3 passed" in run.stdout
