"""Invalidation by hand, under the name by which users of django-cacheops import it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import router
from django.db.models import Model

from cacheops_django.invalidation import invalidate_all, invalidate_model, invalidate_obj
from cacheops_django.scopes import no_invalidation

__all__ = ["invalidate_all", "invalidate_dict", "invalidate_model", "invalidate_obj", "no_invalidation"]


def invalidate_dict(model: type[Model], obj_dict: Mapping[str, Any], using: str | None = None) -> None:
    """Drop what depends on a row with these values by attribute (``category_id``), as `invalidate_obj` does.

    A field that is not named may have had any value. So with fewer fields more is dropped, and nothing is missed.
    """
    # Not by calling the model, whose __init__ and signals are for objects that somebody is going to use.
    row = model.__new__(model)
    row.__dict__.update(obj_dict)
    invalidate_obj(row, using=using or router.db_for_write(model))
