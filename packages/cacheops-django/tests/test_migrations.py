"""Migrations: made-up models are tracked and never cached, and nothing of Django's own is read from the cache."""

from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from answers import Ask, is_cached, is_right, keep
from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from django.test import override_settings

from cacheops_django import conf

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _installed() -> Iterator[None]:
    """Install the app under a profile that caches whatever can be, and take its tables back afterwards."""
    with override_settings(
        INSTALLED_APPS=[*settings.INSTALLED_APPS, "migrated"],
        CACHEOPS={"*.*": {"ops": "all", "timeout": 600}},
    ):
        yield
        migrate("zero")


def migrate(to: str) -> None:
    call_command("migrate", "migrated", to, verbosity=0, stdout=StringIO())


def parcels() -> Any:
    return apps.get_model("migrated", "Parcel").objects


def test_migrating_and_migrating_back_work_under_a_profile_for_everything() -> None:
    for _ in range(2):
        migrate("0002")
        assert {row.label for row in parcels().all()} == {"made", "made in bulk"}
        migrate("zero")


def test_rows_that_a_migration_changes_are_seen() -> None:
    # In the original a made-up model is none of those whose signals it listens to.
    migrate("0001")
    labels = ["saved", "made", "deleted", "made in bulk", "updated in bulk"]
    for label in ("saved", "deleted", "updated in bulk"):
        parcels().create(label=label)
    asks: list[Ask] = [lambda label=label: list(parcels().filter(label=label)) for label in labels]  # type: ignore[misc]
    asks += [parcels().count, lambda: list(parcels().filter(weight=9))]
    for ask in asks:
        keep(ask)
    other = lambda: list(parcels().filter(weight=77))  # noqa: E731
    keep(other)
    migrate("0002")
    assert all(is_right(ask) for ask in asks)
    assert is_cached(other)


def test_made_up_models_are_not_cached() -> None:
    migrate("0001")
    state = MigrationExecutor(connection).loader.project_state(("migrated", "0001_tables"))
    made_up = state.apps.get_model("migrated", "Parcel")
    assert conf.current().profile_for(made_up) is None
    assert not is_cached(lambda: list(made_up.objects.all()))
    assert not is_cached(lambda: list(made_up.objects.all()))


def test_what_has_been_applied_is_asked_of_the_database() -> None:
    # In the original `migrate` may be told what had been applied before the tables were dropped.
    recorder = MigrationRecorder(connection)
    migrate("0001")
    assert ("migrated", "0001_tables") in recorder.applied_migrations()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'migrated'")
    assert ("migrated", "0001_tables") not in recorder.applied_migrations()
    recorder.record_applied("migrated", "0001_tables")


def test_flush_and_loading_empty_tables_is_seen() -> None:
    migrate("0001")
    parcels().create(label="a")
    keep(parcels().count)
    call_command("flush", verbosity=0, interactive=False)
    assert is_right(parcels().count)
