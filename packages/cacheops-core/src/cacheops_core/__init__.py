"""Cached results that know what they depend on, kept in Redis and dropped by the writes that change them."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cache import Cache, Lookup
    from .cache_async import AsyncCache
    from .conditions import Dependencies
    from .errors import BackendError, CacheMiss, CacheopsError, ConfigurationError, KeyingError
    from .options import CacheOptions
    from .units import Unit

__version__ = "0.1.0"

__all__ = [
    "AsyncCache",
    "BackendError",
    "Cache",
    "CacheMiss",
    "CacheOptions",
    "CacheopsError",
    "ConfigurationError",
    "Dependencies",
    "KeyingError",
    "Lookup",
    "Unit",
]

_HOMES = {
    "AsyncCache": "cache_async",
    "Cache": "cache",
    "CacheOptions": "options",
    "Dependencies": "conditions",
    "Lookup": "cache",
    "Unit": "units",
}


def __getattr__(name: str) -> Any:
    # Names are loaded when they are asked for: keys and errors serve programs that never open a connection.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES.get(name, 'errors')}", __name__), name)
