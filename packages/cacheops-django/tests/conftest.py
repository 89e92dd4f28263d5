"""Set Django up for the tests of this package, with a server for the cache that finds itself empty each time."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import django
import pytest

from cacheops_core.testing import Server, start_server


def pytest_configure() -> None:
    """Have Django ready before test modules import models, wherever pytest was started."""
    here = str(Path(__file__).parent)
    if here not in sys.path:
        sys.path.insert(0, here)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
    django.setup()


@pytest.fixture(scope="session")
def cache_server() -> Iterator[Server]:
    """A server of the run's own; the settings name it from now on."""
    from django.test import override_settings

    with start_server() as server, override_settings(CACHEOPS_REDIS=server.url):
        yield server


@pytest.fixture(scope="session")
def django_db_modify_db_settings(cache_server: Server) -> None:
    """Have the server there before the database is made: even Django's own first rows are tracked writes."""


@pytest.fixture(autouse=True)
def _empty_cache(request: pytest.FixtureRequest) -> None:
    """Let each test with a database begin with an empty cache, and with no reason counted."""
    uses_database = {"db", "transactional_db"} & set(request.fixturenames)
    if uses_database or request.node.get_closest_marker("django_db"):
        from django.contrib.contenttypes.models import ContentType

        from cacheops_django import caches, reasons

        server = request.getfixturevalue("cache_server")
        with server.client() as client:
            client.flushall()
        caches.current().registries.clear()
        reasons.bypasses.clear()
        # They are made when first asked for, in a test that then takes them back.
        ContentType.objects.clear_cache()
