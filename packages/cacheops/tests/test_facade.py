"""One app and one set of names, whether a project installs "cacheops" or "cacheops_django"."""

from __future__ import annotations

import subprocess
import sys
import types
from io import StringIO

import pytest
from django.apps import apps
from django.contrib.staticfiles import finders
from django.core import checks
from django.core.management import call_command, get_commands, load_command_class
from django.template.loader import get_template
from django.test import override_settings

import cacheops
import cacheops.signals
import cacheops_django.apps
import cacheops_django.signals

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


def test_the_app_is_the_django_packages_own_under_the_name_that_was_asked_for() -> None:
    config = apps.get_app_config("cacheops")
    assert isinstance(config, cacheops_django.apps.CacheopsConfig)
    assert apps.is_installed("cacheops")


@pytest.mark.parametrize(
    "entry, name",
    [
        ("cacheops", "cacheops"),
        ("cacheops.apps.CacheopsConfig", "cacheops"),
        ("cacheops_django", "cacheops_django"),
    ],
)
def test_the_app_can_be_installed_under_each_name(entry: str, name: str) -> None:
    assert python(SETTINGS.format(apps=[entry])) == f"['{name}']\n"


def test_the_app_cannot_be_installed_twice() -> None:
    assert "labels aren't unique, duplicates: cacheops" in python(
        SETTINGS.format(apps=["cacheops", "cacheops_django"])
    )


def test_its_commands_are_the_django_packages() -> None:
    found = [name for name, app in get_commands().items() if app == "cacheops"]
    assert sorted(found) == ["cacheops", "cleanfilecache", "invalidate", "reapconjs"]
    for name in found:
        assert type(load_command_class("cacheops", name)).__module__.startswith("cacheops_django.")


TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]


@override_settings(TEMPLATES=TEMPLATES, STATIC_URL="static/")
def test_its_templates_and_static_files_are_found() -> None:
    assert get_template("cacheops/dashboard.html").template.source
    assert finders.find("cacheops/dashboard.css")


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


def test_a_bare_import_reaches_the_modules_and_loads_none_of_them() -> None:
    code = """
import sys, cacheops
print([name for name in sys.modules if name.startswith(("cacheops", "django"))])
print(cacheops.signals.cache_read is not None, cacheops.query.__name__, cacheops.VERSION)
"""
    assert python(code) == f"['cacheops']\nTrue cacheops.query {cacheops.VERSION}\n"


def test_the_client_is_not_made_before_it_is_used() -> None:
    code = """
from django.conf import settings
settings.configure()
from cacheops.redis import redis_client
print("imported")
"""
    assert python(code) == "imported\n"
