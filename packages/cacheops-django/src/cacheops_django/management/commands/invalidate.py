"""`manage.py invalidate`: drops what depends on an object, a model, an app, or all there is."""

from argparse import ArgumentParser
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from django.apps import AppConfig, apps
from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import Model

from cacheops_core.errors import CacheopsError
from cacheops_django import caches
from cacheops_django.invalidation import invalidate_all, invalidate_model, invalidate_obj
from cacheops_django.problems import nearest

__all__ = ["Command"]


class Task(NamedTuple):
    """One thing to do, decided before anything is done."""

    says: str
    """What is told when it is done."""

    run: Callable[[], object]


class Command(BaseCommand):
    help = "Drops cached results that depend on the given objects, models or apps, or all of them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take names and the database."""
        parser.add_argument("names", nargs="+", metavar="app.Model.pk | app.Model | app | all")
        parser.add_argument(
            "--database",
            help="The database that objects are read from and whose results are dropped. "
            f'Default: "{DEFAULT_DB_ALIAS}" for an object, every one for models and apps.',
        )

    def handle(self, *args: Any, names: list[str], database: str | None, **options: Any) -> None:
        """Invalidate everything named; a name that means nothing stops it before anything is dropped."""
        if database is not None and database not in connections:
            raise CommandError(f'There is no database "{database}". {_choices(database, connections)}')
        try:
            tasks = [task for name in names for task in tasks_for(name, database)]
        except CacheopsError as error:
            # An object is looked up as any other is.
            raise CommandError(f"{', '.join(names)} could not be invalidated: {error}") from error
        for task in tasks:
            try:
                task.run()
            except CacheopsError as error:
                raise CommandError(f"{task.says} could not be invalidated: {error}") from error
            if caches.owes():
                # A server process would send it when the server is back; this one is about to end.
                raise CommandError(
                    f"{task.says} could not be invalidated: the cache's server does not answer"
                )
            if options["verbosity"] > 0:
                self.stdout.write(f"Invalidated {task.says}")


def tasks_for(name: str, database: str | None) -> list[Task]:
    """Return what one argument asks for."""
    if name == "all":
        if database is not None:
            raise CommandError('"all" is all of every database: name apps to keep to --database.')
        return [Task("everything", invalidate_all)]
    app_label, *rest = name.split(".", 2)
    app = find_app(app_label)
    if not rest:
        return [model_task(model, database) for model in app.get_models(include_auto_created=True)]
    model = find_model(app, rest[0])
    return [model_task(model, database)] if len(rest) == 1 else [object_task(model, rest[1], database)]


def model_task(model: type[Model], database: str | None) -> Task:
    """Return the task of dropping what depends on any row of the model."""
    where = f" in {database}" if database else ""
    return Task(f"{model._meta.label}{where}", lambda: invalidate_model(model, using=database))


def object_task(model: type[Model], key: str, database: str | None) -> Task:
    """Return the task of dropping what depends on one object, which must be there to say what that is."""
    alias = database or DEFAULT_DB_ALIAS
    try:
        # The base manager: an object that the model's own manager hides is cached all the same.
        found = model._base_manager.using(alias).get(pk=key)
    except (ValueError, ValidationError, TypeError) as error:
        raise CommandError(f'"{key}" cannot be a primary key of {model._meta.label}: {error}') from error
    except ObjectDoesNotExist as error:
        message = f'{model._meta.label} with the primary key "{key}" is not in the database "{alias}".'
        remedy = f" Run invalidate {model._meta.label} to drop what depends on one that is gone."
        raise CommandError(message + remedy) from error
    return Task(f"{model._meta.label} {key}", lambda: invalidate_obj(found, using=database))


def find_app(label: str) -> AppConfig:
    """Return the app of that label, in whatever case."""
    configs = {config.label.lower(): config for config in apps.get_app_configs()}
    if label.lower() not in configs:
        raise CommandError(f'There is no app "{label}". {_choices(label, [*configs, "all"])}')
    return configs[label.lower()]


def find_model(app: AppConfig, name: str) -> type[Model]:
    """Return the model of that name, in whatever case."""
    models = {model.__name__.lower(): model for model in app.get_models(include_auto_created=True)}
    if name.lower() not in models:
        names = [model.__name__ for model in models.values()]
        raise CommandError(f'The app "{app.label}" has no model "{name}". {_choices(name, names)}')
    return models[name.lower()]


def _choices(word: str, known: Iterable[str]) -> str:
    known = sorted(known)
    return f"{nearest(word, known)}There are: {', '.join(known) or 'none'}."
