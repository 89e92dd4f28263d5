"""Cached querysets for Django under one name: everything that a site needs is imported from here."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cacheops_core.errors import CacheMiss
    from cacheops_django.invalidation import invalidate_all, invalidate_model, invalidate_obj
    from cacheops_django.scopes import no_invalidation

__version__ = "0.1.0"

__all__ = ["CacheMiss", "invalidate_all", "invalidate_model", "invalidate_obj", "no_invalidation"]

_HOMES = {
    "CacheMiss": "cacheops_core.errors",
    "invalidate_all": "cacheops_django.invalidation",
    "invalidate_model": "cacheops_django.invalidation",
    "invalidate_obj": "cacheops_django.invalidation",
    "no_invalidation": "cacheops_django.scopes",
}


def __getattr__(name: str) -> Any:
    # Settings modules import this package, and so does Django to find the app: no models may be needed yet.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
