"""Other projects beside this one: each program of this folder in a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from databases import KINDS, Description, sqlite, why_not

from cacheops_core.testing import Server, start_server

HERE = Path(__file__).parent
APPS = ["django.contrib.contenttypes", "cacheops"]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with start_server() as started:
        yield started


def run(program: str, server: Server, database: Description, **settings: Any) -> None:
    told = {"DATABASES": {"default": database}, "CACHEOPS_REDIS": server.url, **settings}
    done = subprocess.run(
        [sys.executable, HERE / "program.py", json.dumps(told), program],
        text=True, capture_output=True, check=False, timeout=120,
        env={**os.environ, "PYTHONWARNINGS": ""},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "right\n"), done.stderr


def test_polymorphic_querysets_are_right_and_what_is_plain_in_them_is_cached(server: Server) -> None:
    with sqlite("wal") as database:
        run("polymorphic_works", server, database, INSTALLED_APPS=[*APPS, "polymorphic", "gallery"])


def test_a_task_and_a_command_write_as_the_site_does(server: Server) -> None:
    with sqlite("wal") as database:
        run("celery_worker", server, database, INSTALLED_APPS=[*APPS, "shops"])


# A machine without PostgreSQL is told so at the end of the run.
@pytest.mark.parametrize("kind", [kind for kind in ["postgresql"] if not why_not(kind)])
def test_tenants_have_their_own_results(server: Server, kind: str) -> None:
    with KINDS[kind]() as database:
        run(
            "tenants", server, {**database, "ENGINE": "django_tenants.postgresql_backend"},
            INSTALLED_APPS=["django_tenants", "tenancy", *APPS, "shops"],
            SHARED_APPS=["django_tenants", "tenancy", "django.contrib.contenttypes"],
            TENANT_APPS=["django.contrib.contenttypes", "shops"],
            TENANT_MODEL="tenancy.Client", TENANT_DOMAIN_MODEL="tenancy.Domain",
            DATABASE_ROUTERS=["django_tenants.routers.TenantSyncRouter"],
            CACHEOPS_PREFIX="tenancy.prefixes.by_schema",
        )  # fmt: skip
