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
                options=_options(settings),
            )
            _made = settings, os.getpid(), cache
        return _made[2]


def _options(settings: conf.Settings) -> CacheOptions:
    # Bookkeeping lives as long as the longest entry may, without being asked to each time.
    timeouts = [profile.timeout for profile in settings.profiles.values() if profile is not None]
    longest = None if None in timeouts else max(filter(None, timeouts), default=60.0)
    return CacheOptions(prefix=str(settings.prefix), timeout=longest, degrade=settings.degrade_on_failure)
