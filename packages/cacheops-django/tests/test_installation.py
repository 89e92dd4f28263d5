"""The footprint on Django: put there once, and taken back without a trace."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from answers import is_cached, is_right, keep, queries
from django.contrib.admin import ModelAdmin, site
from django.core.signals import setting_changed
from django.db import connection
from django.db.backends.signals import connection_created
from django.db.models import QuerySet
from django.db.models.manager import BaseManager
from django.db.models.signals import post_save
from django.test import modify_settings
from testapp.models import Post, Tag

from cacheops_django import installation
from cacheops_django.patching import around

SIGNALS = (connection_created, post_save, setting_changed)

COMPARE = """
import inspect, sys
import django, settings
settings.INSTALLED_APPS = [name for name in settings.INSTALLED_APPS if name != "cacheops_django"]
settings.INSTALLED_APPS += ["django.contrib.admin"]
django.setup()
from django.db import connection
from django.db.models.signals import post_save
import django.contrib.admin
from testapp.models import Post
from cacheops_django import installation

def footprint():
    owners = {name: module for name, module in sys.modules.items() if name.split(".")[0] in ("django", "testapp")}
    for name, module in list(owners.items()):
        for attribute, value in vars(module).items():
            if inspect.isclass(value):
                owners[f"{name}.{attribute}"] = value
    found = {f"{name}:{key}": value for name, owner in owners.items() for key, value in vars(owner).items()}
    found["wrappers"] = tuple(connection.execute_wrappers)
    found["receivers"] = tuple(map(str, post_save.receivers))
    return found

def differences(before, after):
    return sorted(k for k in before.keys() | after.keys() if before.get(k, 0) is not after.get(k, 0)
                  and before.get(k, 0) != after.get(k, 0) and not k.endswith(":creation_counter"))

connection.ensure_connection()
Post(pk=1).tags
list(installation.patches())
before = footprint()
installation.install()
Post(pk=1).tags
print(len(differences(before, footprint())))
installation.uninstall()
print(differences(before, footprint()))
print([key for key, value in before.items() if "cacheops" in str(getattr(value, "__module__", ""))])
"""


@pytest.fixture
def _uninstalled() -> Iterator[None]:
    installation.uninstall()
    try:
        yield
    finally:
        installation.install()


def test_uninstalling_restores_every_class_and_module_exactly() -> None:
    here = str(Path(__file__).parent)
    # The databases of the run are not to be touched, and any kind has the same classes around it.
    changed = {"PYTHONPATH": os.pathsep.join([here, *sys.path]), "CACHEOPS_TEST_DB": "sqlite"}
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "settings", **changed}
    run = subprocess.run(
        [sys.executable, "-c", COMPARE], env=environment, capture_output=True, text=True, check=False
    )
    assert run.stderr == ""
    count, left, ours = run.stdout.splitlines()
    assert int(count) > 30
    assert left == "[]"
    assert ours == "[]"


@pytest.mark.usefixtures("_uninstalled")
def test_a_queryset_without_the_cache_has_none_of_its_methods() -> None:
    for name in ("cache", "nocache", "invalidated_update", "inplace", "cloning", "clone"):
        assert not hasattr(QuerySet, name)
        assert not hasattr(BaseManager, name)


@pytest.mark.django_db
def test_without_the_cache_every_question_goes_to_the_database() -> None:
    keep(lambda: list(Tag.objects.all()))
    installation.uninstall()
    try:
        assert queries(lambda: list(Tag.objects.all())) == 1
    finally:
        installation.install()
    assert is_cached(lambda: list(Tag.objects.all()))


@pytest.mark.django_db
def test_relations_are_tracked_after_installing_again() -> None:
    installation.uninstall()
    installation.install()
    post = Post.objects.create(title="p", category_id=_category())
    keep(lambda: list(post.tags.all()))
    post.tags.set([Tag.objects.create(name="t")])
    assert is_right(lambda: list(post.tags.all()))


def _category() -> Any:
    from testapp.models import Category

    return Category.objects.create(title="c").pk


def test_installing_twice_is_installing_once() -> None:
    before = dict(vars(QuerySet))
    receivers = [len(signal.receivers) for signal in SIGNALS]
    installation.install()
    assert dict(vars(QuerySet)) == before
    assert [len(signal.receivers) for signal in SIGNALS] == receivers
    assert len(set(connection.execute_wrappers)) == len(connection.execute_wrappers)


def test_every_patch_names_an_attribute_of_its_own() -> None:
    named = [(patch.owner, patch.name) for patch in installation.patches()]
    assert len(set(named)) == len(named)


@modify_settings(INSTALLED_APPS={"append": "django.contrib.admin"})
def test_the_admin_is_among_what_is_patched_where_it_is_installed() -> None:
    assert (ModelAdmin, "get_queryset") in {(patch.owner, patch.name) for patch in installation.patches()}


@pytest.mark.django_db
def test_the_admin_reads_past_the_cache() -> None:
    from cacheops_django.managers import past_the_cache

    patch = around(ModelAdmin, "get_queryset", past_the_cache)
    patch.apply()
    try:
        rows = ModelAdmin(Tag, site).get_queryset(None)  # type: ignore[arg-type]
        assert queries(lambda: list(rows.all())) == queries(lambda: list(rows.all())) == 1
    finally:
        patch.undo()
