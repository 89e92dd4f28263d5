"""Cached querysets for Django under one name: everything that a site needs is imported from here."""

import re
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cacheops_core.errors import CacheMiss
    from cacheops_django.explaining import explain
    from cacheops_django.fragments import CacheopsLibrary, ainvalidate_fragment, invalidate_fragment
    from cacheops_django.functions import cached, cached_as
    from cacheops_django.invalidation import (
        invalidate_all,
        invalidate_model,
        invalidate_obj,
        postpone_invalidation,
    )
    from cacheops_django.invalidation_async import ainvalidate_all, ainvalidate_model, ainvalidate_obj
    from cacheops_django.scopes import no_invalidation
    from cacheops_django.simple import cache
    from cacheops_django.views import cached_view, cached_view_as

    from . import conf as conf
    from . import invalidation as invalidation
    from . import query as query
    from . import reaper as reaper
    from . import redis as redis
    from . import signals as signals
    from . import simple as simple
    from . import templatetags as templatetags
    from .files import FileCache, file_cache
    from .query import install_cacheops
    from .reaper import reap_conjs

__version__ = "0.1.0"

VERSION: tuple[int, ...] = tuple(map(int, re.findall(r"\d+", __version__)[:3]))
"""The version to compare with others; it is this project's, which began anew after django-cacheops 7.2."""

__all__ = [
    "VERSION",
    "CacheMiss",
    "CacheopsLibrary",
    "FileCache",
    "ainvalidate_all",
    "ainvalidate_fragment",
    "ainvalidate_model",
    "ainvalidate_obj",
    "cache",
    "cached",
    "cached_as",
    "cached_view",
    "cached_view_as",
    "explain",
    "file_cache",
    "install_cacheops",
    "invalidate_all",
    "invalidate_fragment",
    "invalidate_model",
    "invalidate_obj",
    "no_invalidation",
    "postpone_invalidation",
    "reap_conjs",
]

_HOMES = {
    "CacheMiss": "cacheops_core.errors",
    "CacheopsLibrary": "cacheops_django.fragments",
    "FileCache": "cacheops.files",
    "ainvalidate_all": "cacheops_django.invalidation_async",
    "ainvalidate_fragment": "cacheops_django.fragments",
    "ainvalidate_model": "cacheops_django.invalidation_async",
    "ainvalidate_obj": "cacheops_django.invalidation_async",
    "cache": "cacheops_django.simple",
    "cached": "cacheops_django.functions",
    "cached_as": "cacheops_django.functions",
    "cached_view": "cacheops_django.views",
    "cached_view_as": "cacheops_django.views",
    "explain": "cacheops_django.explaining",
    "file_cache": "cacheops.files",
    "install_cacheops": "cacheops.query",
    "invalidate_all": "cacheops_django.invalidation",
    "invalidate_fragment": "cacheops_django.fragments",
    "invalidate_model": "cacheops_django.invalidation",
    "invalidate_obj": "cacheops_django.invalidation",
    "no_invalidation": "cacheops_django.scopes",
    "postpone_invalidation": "cacheops_django.invalidation",
    "reap_conjs": "cacheops.reaper",
}

_MODULES = {"conf", "invalidation", "query", "reaper", "redis", "signals", "simple", "templatetags"}
"""Those that are attributes of this package after a bare ``import cacheops``, as in django-cacheops."""


def __getattr__(name: str) -> Any:
    # Settings modules import this package, and so does Django to find the app: no models may be needed yet.
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
