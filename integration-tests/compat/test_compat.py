"""A site that was written for django-cacheops 7.2 runs unchanged with our distributions installed instead.

The site's own tests hold for both; it is told here where its server is, and a variant of its settings.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sentinels import sentinel

from cacheops_core.testing import Server, start_server

SITE = Path(__file__).parent
PASSWORD = "secret"
CHAPTERS = sorted(path.stem for path in SITE.glob("articles/tests/*.py"))
VARIANTS = sorted(path.stem for path in SITE.glob("variants/*.py") if path.stem != "__init__")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # The path of a socket must be short.
    return tmp_path_factory.mktemp("site")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    with start_server(unixsocket=str(folder / "s")) as started:
        with started.client() as client:
            client.config_set("requirepass", PASSWORD)
        yield started


@pytest.fixture(scope="module")
def sentinel_port() -> Iterator[int]:
    # Whoever watches a server with a password has to know it, so this one gets its password last.
    with start_server() as primary, sentinel(primary) as port:
        with primary.client() as client:
            client.config_set("requirepass", PASSWORD)
        yield port


def run(server: Server, folder: Path, chapter: str, settings: str = "settings", **more: str) -> str:
    """Run a chapter of the site's tests under some settings, warnings being errors, and return what is said."""
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": settings,
        "COMPAT_HOST": server.host,
        "COMPAT_PORT": str(server.port),
        "COMPAT_PASSWORD": PASSWORD,
        "COMPAT_SOCKET": str(folder / "s"),
        "COMPAT_FILES": str(folder / "files"),
        **more,
    }
    command = [sys.executable, "-W", "error", "manage.py", "test", f"articles.tests.{chapter}"]
    done = subprocess.run(command, cwd=SITE, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.findall(r"^Ran (\d+) tests", done.stderr, re.M)[0]) > 0
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    "chapter", [name for name in CHAPTERS if name not in ("__init__", "site", "variants")]
)
def test_the_documentation_holds(server: Server, folder: Path, chapter: str):
    run(server, folder, chapter)


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "sentinel"])
def test_each_form_of_the_settings_holds(server: Server, folder: Path, variant: str):
    run(server, folder, "variants", f"variants.{variant}")


def test_sentinels_say_where_the_server_is(server: Server, folder: Path, sentinel_port: int):
    run(server, folder, "variants", "variants.sentinel", COMPAT_SENTINEL=str(sentinel_port))


def test_a_setting_that_nothing_needs_is_told_of(server: Server, folder: Path):
    assert "CACHEOPS_INSIDEOUT does nothing" in run(server, folder, "variants", "variants.insideout")
