"""What can be told apart of two answers: types, values, objects with their state and all that is fetched with them."""

import math
from typing import Any

from django.db.models import Model, QuerySet

DEPTH = 6
"""How far objects are followed to others, which may lead back to them."""


def picture(value: Any, depth: int = 0) -> Any:
    """Return what an answer is equal to, in types that compare by all that they hold."""
    if depth > DEPTH:
        return "..."
    if isinstance(value, Model):
        # In their order too: it is that of the columns.
        return type(value), [(name, _attribute(name, held, depth + 1)) for name, held in vars(value).items()]
    if isinstance(value, QuerySet):
        return type(value), value.model, value._result_cache is None
    if isinstance(value, BaseException):
        return type(value), str(value)
    if isinstance(value, list | tuple):
        return type(value), [picture(one, depth + 1) for one in value]
    if isinstance(value, dict):
        return type(value), [(key, picture(one, depth + 1)) for key, one in value.items()]
    if isinstance(value, float) and math.isnan(value):
        return float, "nan"
    if hasattr(value, "__dict__") and type(value).__eq__ is object.__eq__:
        told = repr(value)
        # One that says no more of itself than where it is.
        return type(value), None if " at 0x" in told else told
    return type(value), value


def _attribute(name: str, held: Any, depth: int) -> Any:
    if name == "_state":
        # Peers are those who were fetched together, by weak references that are never equal.
        others = [key for key in vars(held) if key not in ("fields_cache", "peers")]
        related = {key: picture(one, depth) for key, one in vars(held).get("fields_cache", {}).items()}
        return held.db, held.adding, sorted(others), related
    if name == "_prefetched_objects_cache":
        return {key: [picture(one, depth) for one in rows] for key, rows in held.items()}
    return picture(held, depth)
