"""Orders that cut something out of moments: of these the key tells the time zone, as their names do not."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.utils import timezone

Names = tuple[Any, ...]


def zone_of_order(model: Any, names: Names, has_default: bool) -> str | None:
    """Return the active time zone if an order by these names may be another one in another zone.

    ``order_by("added__hour")`` is resolved when the query is compiled, and stands in it as a text until then.
    (Expressions tell their zone themselves.) Without names, it is the model's own order, if it has one.
    """
    if model is None or not (names or has_default):
        return None
    texts = tuple(name for name in names if isinstance(name, str)) if names else None
    return timezone.get_current_timezone_name() if _is_local(model, texts) else None


@lru_cache(maxsize=4096)
def _is_local(model: Any, names: tuple[str, ...] | None, seen: frozenset[Any] = frozenset()) -> bool:
    if names is None:
        if model in seen:
            return False
        names, seen = tuple(model._meta.ordering), seen | {model}
    return any(not isinstance(name, str) or _cuts(model, name, seen) for name in names)


def _cuts(model: Any, name: str, seen: frozenset[Any]) -> bool:
    """Tell whether a name leads beyond a column, to something that is made of it."""
    parts = name.lstrip("-+").split("__")
    for number, part in enumerate(parts):
        is_last = number == len(parts) - 1
        try:
            field = model._meta.pk if part == "pk" else model._meta.get_field(part)
        except FieldDoesNotExist:
            # An annotation, which tells its own zone, or something that is made of one.
            return not is_last or number > 0
        if not field.is_relation or (is_last and part == getattr(field, "attname", None)):
            return not is_last
        model = field.related_model
        if not isinstance(model, type):
            return True
    # It is in the order of what it refers to.
    return _is_local(model, None, seen)
