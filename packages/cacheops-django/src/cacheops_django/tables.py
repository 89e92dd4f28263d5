"""Which models stand behind a table's name, and which tables the settings forbid to cache."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from django.apps import apps
from django.db.models import Model

from . import conf
from .model_profiles import keys_for


def models_of(table: str) -> tuple[type[Model], ...]:
    """Return the models of a table, those that manage it first; none for a table that no model knows."""
    return _models_by_table(_registered()).get(table, ())


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
    return table in _forbidden(conf.current())


def _registered() -> int:
    return sum(map(len, apps.all_models.values()))


@lru_cache(maxsize=4)
def _models_by_table(registered: int) -> dict[str, tuple[type[Model], ...]]:
    found: dict[str, list[type[Model]]] = {}
    for model in apps.get_models(include_auto_created=True, include_swapped=True):
        if not model._meta.proxy:
            found.setdefault(model._meta.db_table, []).append(model)
    return {
        table: tuple(sorted(models, key=lambda m: not m._meta.managed)) for table, models in found.items()
    }


@lru_cache(maxsize=4)
def _forbidden(settings: conf.Settings) -> frozenset[str]:
    return frozenset(
        table
        for table, models in _models_by_table(_registered()).items()
        if all(_is_none(settings, model) for model in models)
    )


def _is_none(settings: conf.Settings, model: type[Model]) -> bool:
    key = next((key for key in keys_for(model) if key in settings.profiles), None)
    return key is not None and settings.profiles[key] is None
