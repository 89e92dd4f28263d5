"""What the models say about tables: whose they are, which are forbidden, and which change along with others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.apps import apps
from django.db.models import Model

from . import conf
from .model_profiles import keys_for


@dataclass(slots=True)
class _Registry:
    """What follows from the models that are registered, until another one is."""

    models: list[type[Model]]
    by_table: dict[str, tuple[type[Model], ...]]
    forbidden: dict[conf.Settings, frozenset[str]] = field(default_factory=dict)
    cascades: dict[type[Model], frozenset[str]] = field(default_factory=dict)


_registry = _Registry([], {})


def known_tables() -> list[str]:
    """Return the tables of all models."""
    return list(_current().by_table)


def models_of(table: str) -> tuple[type[Model], ...]:
    """Return the models of a table, those that manage it first; none for a table that no model knows."""
    return _current().by_table.get(table, ())


def parts_of(model: type[Model]) -> Iterator[type[Model]]:
    """Yield the models whose tables make up a row of the model: its own, and its parents'."""
    concrete = model._meta.concrete_model or model
    yield concrete
    for parent in concrete._meta.get_parent_list():
        if not parent._meta.proxy:
            yield parent


def is_forbidden(table: str) -> bool:
    """Tell whether the settings map every model of the table to None.

    Nothing that depends on such a table is cached, so writes to it need no invalidation: the way to keep
    sessions and logs from asking the server of the cache at all.
    """
    return table in forbidden()


def forbidden() -> frozenset[str]:
    """Return the tables that `is_forbidden` is true of."""
    registry, settings = _current(), conf.current()
    found = registry.forbidden.get(settings)
    if found is None:
        # Settings of before will not be asked for again.
        found = _forbidden(registry, settings)
        registry.forbidden = {settings: found}
    return found


def cascades(model: type[Model]) -> frozenset[str]:
    """Return the tables whose rows the database itself deletes or changes with a row of the model."""
    known = _current().cascades
    if model not in known:
        found: set[type[Model]] = set()
        _follow(model, found)
        known[model] = frozenset(related._meta.db_table for related in found)
    return known[model]


def _follow(model: type[Model], found: set[type[Model]]) -> None:
    # Relations without a name to be followed by are followed by the database all the same.
    for relation in model._meta.get_fields(include_hidden=True):
        related = relation.related_model
        # Django 6.1: models.DB_CASCADE, DB_SET_NULL, DB_SET_DEFAULT
        is_done_there = relation.auto_created and hasattr(
            getattr(relation, "on_delete", None), "on_delete_sql"
        )
        if is_done_there and related is not None and related not in found:
            found.add(related)
            _follow(related, found)


def are_near(names: Iterable[str], op: str) -> bool:
    """Tell whether the profiles of all models of these tables want results kept in the process.

    Whoever has not asked for that for a model is not to see any of its rows late, be it in a join with another. A table
    that Django makes for a many-to-many field counts as the model that has the field.
    """
    settings = conf.current()

    def is_near(model: Any) -> bool:
        source = model._meta.auto_created
        profile = settings.profile_for(source if isinstance(source, type) else model)
        return profile is not None and (profile.near or (op == "get" and profile.local_get))

    found = [models_of(name) for name in names]
    return bool(found) and all(models and all(map(is_near, models)) for models in found)


def _current() -> _Registry:
    global _registry
    # Django makes a new list once a model is registered, and returns the same one until then.
    models = apps.get_models(include_auto_created=True, include_swapped=True)
    if models is not _registry.models:
        _registry = _Registry(models, _by_table(models))
    return _registry


def _by_table(models: list[type[Model]]) -> dict[str, tuple[type[Model], ...]]:
    found: dict[str, list[type[Model]]] = {}
    for model in models:
        if not model._meta.proxy:
            found.setdefault(model._meta.db_table, []).append(model)
    return {
        table: tuple(sorted(models, key=lambda m: not m._meta.managed)) for table, models in found.items()
    }


def _forbidden(registry: _Registry, settings: conf.Settings) -> frozenset[str]:
    return frozenset(
        table
        for table, models in registry.by_table.items()
        if all(_is_none(settings, model) for model in models)
    )


def _is_none(settings: conf.Settings, model: type[Model]) -> bool:
    key = next((key for key in keys_for(model) if key in settings.profiles), None)
    return key is not None and settings.profiles[key] is None
