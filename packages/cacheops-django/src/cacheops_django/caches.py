"""The project's cache: made from the settings when it is first asked for, and anew when they change."""

from __future__ import annotations

import os
from threading import Lock

from cacheops_core.cache import Cache
from cacheops_core.options import CacheOptions

from . import conf

_lock = Lock()
_made: tuple[conf.Settings, int, Cache] | None = None


def current() -> Cache:
    """Return the cache of this process. A forked child gets one of its own, with no connection shared."""
    made = _made
    if made is not None and made[0] is conf.current() and made[1] == os.getpid():
        return made[2]
    return _make()


def _make() -> Cache:
    global _made
    with _lock:
        settings = conf.current()
        if _made is None or _made[0] is not settings or _made[1] != os.getpid():
            cache = Cache(
                conf.make_client(),
                serializer=settings.serializer,
                options=CacheOptions(prefix=str(settings.prefix), degrade=settings.degrade_on_failure),
            )
            _made = settings, os.getpid(), cache
        return _made[2]
