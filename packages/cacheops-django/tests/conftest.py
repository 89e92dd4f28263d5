"""Set Django up for the tests of this package, with a server for the cache that finds itself empty each time."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import django
import pytest

from cacheops_core.testing import Cluster, Server, start_cluster, start_server


def pytest_configure() -> None:
    """Have Django ready before test modules import models, wherever pytest was started."""
    here = str(Path(__file__).parent)
    if here not in sys.path:
        sys.path.insert(0, here)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
    django.setup()


def is_cluster() -> bool:
    """Tell whether the run is to have a cluster in the place of a server."""
    return os.environ.get("CACHEOPS_TEST_SERVER") == "cluster"


@pytest.fixture(scope="session")
def cache_server() -> Iterator[Server | Cluster]:
    """A server of the run's own, or a cluster; the settings name it from now on."""
    from django.test import override_settings

    if is_cluster():
        with start_cluster() as cluster, override_settings(CACHEOPS_REDIS=None, CACHEOPS_CLUSTER=cluster.url):
            yield cluster
    else:
        with start_server() as server, override_settings(CACHEOPS_REDIS=server.url):
            yield server


@pytest.fixture(scope="session")
def django_db_modify_db_settings(cache_server: Server) -> None:
    """Have the server there before the database is made: even Django's own first rows are tracked writes."""


def uses_database(request: pytest.FixtureRequest) -> bool:
    """Tell whether a test has a database."""
    marker = request.node.get_closest_marker("django_db")
    return marker is not None or not {"db", "transactional_db"}.isdisjoint(request.fixturenames)


@pytest.fixture(autouse=True)
def _empty_cache(request: pytest.FixtureRequest) -> None:
    """Let each test with a database begin with an empty cache, and with no reason counted."""
    if uses_database(request):
        from django.contrib.contenttypes.models import ContentType

        from cacheops_django import caches, reasons

        server = request.getfixturevalue("cache_server")
        with server.client() as client:
            client.flushall()
        caches.current().registries.clear()
        reasons.bypasses.clear()
        # They are made when first asked for, in a test that then takes them back.
        ContentType.objects.clear_cache()


@pytest.fixture(autouse=True)
def _no_cluster(request: pytest.FixtureRequest) -> Iterator[None]:
    """Leave settings alone with those tests that are about settings, which name servers themselves."""
    from django.test import override_settings

    if is_cluster() and not uses_database(request):
        with override_settings(CACHEOPS_REDIS="redis://127.0.0.1:1/0", CACHEOPS_CLUSTER=None):
            yield
    else:
        yield
