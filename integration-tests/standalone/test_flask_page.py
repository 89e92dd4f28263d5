"""A page with Flask in an environment of its own, where nothing of ours is installed but the core and the tags."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cacheops_core.testing import Server

PAGE = Path(__file__).with_name("flask_page")


@pytest.fixture
def python(install: Any) -> Path:
    """The Python of an environment with the two distributions and Flask."""
    found: Path = install("cacheops-core", "cacheops-jinja2", "flask>=3").python
    return found


@pytest.fixture
def run(python: Path, redis_server: Server, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """What the first visits to the page print."""
    with redis_server.client() as client:
        client.flushall()
    shop = {"SHOP_REDIS": redis_server.url, "SHOP_DATABASE": str(tmp_path / "shop.sqlite3")}
    alone = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "DJANGO"))}
    command = [python, "-W", "error", PAGE / "visit.py"]
    return subprocess.run(command, env=alone | shop, capture_output=True, text=True, check=False)


def test_the_page_is_true_and_the_database_is_asked_once_for_each_change(
    run: subprocess.CompletedProcess[str],
) -> None:
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == [
        "<h1>kitchen</h1> <ul> </ul>",
        "<h1>kitchen</h1> <ul> <li>&lt;kettle&gt;</li> </ul>",
        "<h1>kitchen</h1> <ul> <li>&lt;kettle&gt;</li> </ul>",
        "<h1>garden</h1> <ul> </ul>",
        "<h1>kitchen</h1> <ul> <li>&lt;kettle&gt;</li> </ul>",
        "<h1>garden</h1> <ul> <li>spade</li> </ul>",
    ]
    asked = [line.rpartition(" ")[2] for line in run.stderr.splitlines() if "asking for" in line]
    assert asked == ["kitchen", "kitchen", "garden", "garden"]


def test_nothing_else_of_ours_is_there(python: Path) -> None:
    code = (
        "from importlib.metadata import distributions as all; print(*sorted(d.name.lower() for d in all()))"
    )
    found = subprocess.run(
        [python, "-I", "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert [name for name in found if name.startswith("cacheops")] == ["cacheops-core", "cacheops-jinja2"]
    assert "django" not in found
