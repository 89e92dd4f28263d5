"""One app and one set of names, whether a project installs "cacheops" or "cacheops_django"."""

from __future__ import annotations

import subprocess
import sys
import types
from io import StringIO

import pytest
from django.apps import apps
from django.core import checks
from django.core.management import call_command, get_commands

import cacheops
import cacheops.signals
import cacheops_django.signals
from cacheops_django.apps import CacheopsConfig

SETTINGS = """
from django.conf import settings
settings.configure(INSTALLED_APPS={apps}, CACHEOPS_REDIS="redis://localhost/1")
import django
django.setup()
from django.apps import apps
print([config.name for config in apps.get_app_configs()])
"""


def python(code: str) -> str:
    """Run the code in a Python of its own, where nothing has been imported, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def test_the_app_is_the_django_packages_own() -> None:
    config = apps.get_app_config("cacheops")
    assert type(config) is CacheopsConfig
    assert config.name == "cacheops_django"


@pytest.mark.parametrize("name", ["cacheops", "cacheops_django", "cacheops.apps.CacheopsConfig"])
def test_the_app_can_be_installed_under_each_name(name: str) -> None:
    assert python(SETTINGS.format(apps=[name])) == "['cacheops_django']\n"


def test_the_app_cannot_be_installed_twice() -> None:
    assert "labels aren't unique, duplicates: cacheops" in python(
        SETTINGS.format(apps=["cacheops", "cacheops_django"])
    )


@pytest.mark.parametrize("command", ["cacheops", "cleanfilecache", "invalidate", "reapconjs"])
def test_its_commands_are_found(command: str) -> None:
    assert get_commands()[command] == "cacheops_django"


def test_a_command_can_be_called() -> None:
    out = StringIO()
    call_command("reapconjs", stdout=out)
    assert out.getvalue().startswith("Nothing to reap")


def test_its_checks_are_registered_under_its_tag() -> None:
    assert checks.tag_exists("cacheops")
    assert checks.run_checks(tags=["cacheops"]) == []


@pytest.mark.parametrize("name", cacheops.__all__)
def test_each_name_can_be_imported(name: str) -> None:
    namespace: dict[str, object] = {}
    exec(f"from cacheops import {name}", namespace)
    assert namespace[name] is getattr(cacheops, name)


def test_the_names_are_those_that_it_lists() -> None:
    public = {
        name for name, value in vars(cacheops).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }  # fmt: skip
    assert public - set(cacheops.__all__) <= {"TYPE_CHECKING", "Any", "import_module"}
    assert set(cacheops.__all__) <= set(dir(cacheops))


def test_another_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="module 'cacheops' has no attribute 'cacheing'"):
        _ = cacheops.cacheing  # type: ignore[attr-defined]


def test_the_signals_are_the_django_packages() -> None:
    assert cacheops.signals.cache_read is cacheops_django.signals.cache_read
    assert cacheops.signals.cache_invalidated is cacheops_django.signals.cache_invalidated


@pytest.mark.parametrize("name", ["cacheops", "cacheops_django"])
def test_its_template_tags_are_found(name: str) -> None:
    code = (
        SETTINGS.format(apps=[name])
        + """
from django.template.backends.django import DjangoTemplates
options = {"NAME": "django", "DIRS": [], "APP_DIRS": False, "OPTIONS": {}}
print(DjangoTemplates(options).engine.from_string("{% load cacheops %}").nodelist)
"""
    )
    assert "LoadNode" in python(code)


def test_a_settings_module_may_import_it() -> None:
    assert python("import cacheops, sys; print('django' in sys.modules)") == "False\n"


def test_a_models_module_may_import_all_of_it() -> None:
    code = """
from django.conf import settings
settings.configure(INSTALLED_APPS=[])
from cacheops import *
print(callable(invalidate_obj))
"""
    assert python(code) == "True\n"
