"""The counts of all processes, summed up on the cache's server: for ``manage.py cacheops stats`` and the dashboard.

Each process adds what it has counted since the last time, in one round trip, when a request has ended and
``CACHEOPS_COUNTERS_EVERY`` seconds have passed. Nobody who asks the cache ever waits for that. Where there are no
requests, a timer does it in a thread that lasts no longer: it is set by a miss or a write, which take their time
anyway. What is lost when a process is killed are the counts of a few seconds.

There is one hash for each minute of the last two hours and one for each hour of the last week, with a number for each
model, op and thing that is counted; one for each hour of the last day by query; and one for the sums. All expire by
themselves, and hold so many fields and no more. Counts of tenants are not kept apart: where ``CACHEOPS_PREFIX`` is a
function, they are all under its default.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import time
from functools import lru_cache
from hashlib import blake2b
from importlib.resources import files
from threading import Timer
from typing import Any

from django.core.signals import request_finished

from cacheops_core.flows import Call, Flow
from cacheops_core.forks import module_lock
from cacheops_core.scripts import Script

from . import caches, conf, counters
from .counters import Counts

__all__ = ["HOUR", "MINUTE", "key_of", "publish", "unwatch", "watch"]

log: logging.Logger = logging.getLogger("cacheops")

MINUTE, HOUR = 60, 3600

MINUTES_KEPT = 120
HOURS_KEPT = 7 * 24
QUERY_HOURS_KEPT = 24

MOST_FIELDS = 5000
"""Fields that one hash may have."""

PAUSE = 30.0
"""Seconds for which nothing is sent after it has failed."""

_lock = module_lock()
_published: Counts = {}
"""What has been sent of what this process has counted."""
_published_queries: dict[str, dict[str, int]] = {}
_named: set[str] = set()
"""The queries whose text has been sent."""
_due = 0.0
_timer: Timer | None = None
_has_requests = False
_forks: list[int] = []
"""Where it has been arranged what forked children do, which cannot be taken back."""


def watch() -> None:
    """Send from now on what this process counts."""
    request_finished.connect(request_ended, dispatch_uid="cacheops.counters")
    counters.wakers.append(wake)
    atexit.register(at_exit)
    if not _forks and hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=begin_anew)
        _forks.append(os.getpid())


def unwatch() -> None:
    """Send nothing any more."""
    request_finished.disconnect(dispatch_uid="cacheops.counters")
    if wake in counters.wakers:
        counters.wakers.remove(wake)
    atexit.unregister(at_exit)


def request_ended(**kwargs: Any) -> None:
    """Send what has been counted, if it is time."""
    global _has_requests
    _has_requests = True
    if time.monotonic() >= _due:
        publish()


def wake() -> None:
    """Have a timer send what has been counted, where no request does."""
    global _timer
    if _timer is None and not _has_requests and (seconds := conf.current().counters_every) is not None:
        with _lock:
            if _timer is None:
                _timer = Timer(seconds, _fire)
                _timer.daemon = True
                _timer.start()


def _fire() -> None:
    global _timer
    _timer = None
    publish()


def at_exit() -> None:
    """Send the last counts, unless that would start a server anew that has ended with us."""
    if _timer is not None and not conf.current().connection.is_embedded:
        publish()


def begin_anew() -> None:
    """In a forked child: leave to the parent what it has counted."""
    global _timer
    _timer = None
    _named.clear()
    _note(counters.collect(), _queries_now())


def publish() -> bool:
    """Send what has been counted since the last time; return whether all is sent.

    A failure costs nobody anything: it is noted, and what was to be sent is sent later.
    """
    global _due
    seconds = conf.current().counters_every
    if seconds is None or not _lock.acquire(blocking=False):
        return False
    try:
        cache = caches.of_counters()
        if cache.circuit.is_open:
            return False
        _due = time.monotonic() + seconds
        counts, asked = counters.collect(), _queries_now()
        call = _call(_since(counts, _published), asked)
        unknown = cache.driver.run(cache.insisting(_sending(call))) if call is not None else []
        for digest in (name.decode() for name in unknown):
            # A new hour, or a server that was emptied: it is told again, with its text, the next time.
            _named.discard(digest)
            asked[digest] = _published_queries.get(digest, {})
        _note(counts, asked)
    except Exception as error:
        _due = time.monotonic() + PAUSE
        log.debug("Counts are not shared: %s", error)
        return False
    else:
        return True
    finally:
        _lock.release()


def _sending(call: Call) -> Flow[list[bytes]]:
    return (yield call)  # type: ignore[no-any-return]  # replies are untyped


def _note(counts: Counts, asked: dict[str, dict[str, int]]) -> None:
    _published.clear()
    _published.update(counts)
    _published_queries.clear()
    _published_queries.update(asked)


def _since(now: dict[Any, int], before: dict[Any, int]) -> dict[Any, int]:
    return {
        name: number - before.get(name, 0) for name, number in now.items() if number != before.get(name, 0)
    }


def _queries_now() -> dict[str, dict[str, int]]:
    return {_digest(t.model, t.op, t.what): t.numbers() for t in counters.tallies() if t.hits or t.misses}


def _call(counts: Counts, asked: dict[str, dict[str, int]]) -> Call | None:
    """Return the call that adds these counts; None if there is nothing to add."""
    hour = int(time.time()) // HOUR
    texts = {_digest(t.model, t.op, t.what): (t.model, t.op, t.what) for t in counters.tallies()}
    queries: dict[str, dict[str, Any]] = {}
    for digest, numbers in asked.items():
        changed = _since(numbers, _published_queries.get(digest, {}))
        if changed:
            is_new = digest not in _named
            queries[digest] = {"text": is_new and json.dumps(texts[digest]), "numbers": changed}
    if not queries and not counts:
        return None
    _named.update(queries)
    fields = {"|".join(name): number for name, number in counts.items()}
    keys = {
        key_of("q", hour): QUERY_HOURS_KEPT * HOUR,
        key_of("m", int(time.time()) // MINUTE): MINUTES_KEPT * MINUTE,
        key_of("h", hour): HOURS_KEPT * HOUR,
        key_of("t"): HOURS_KEPT * HOUR,
    }
    lifetimes = [seconds * 1000 for seconds in keys.values()]
    return Call(_script(), tuple(keys), (json.dumps(queries), json.dumps(fields), MOST_FIELDS, *lifetimes))


@lru_cache(maxsize=4 * counters.MOST_TALLIES)
def _digest(*parts: str) -> str:
    return blake2b("\n".join(parts).encode(), digest_size=8).hexdigest()


@lru_cache(maxsize=1)
def _script() -> Script:
    source = files("cacheops_django").joinpath("lua", "count.lua").read_text(encoding="utf-8")
    return Script("count", source)


def key_of(kind: str, number: int | None = None) -> str:
    """Return the name of a hash: of queries ("q"), minutes ("m"), hours ("h") or sums ("t")."""
    # What stands in braces has a cluster keep them in one place.
    name = f"{caches.of_counters().options.prefix}{{counts}}:{kind}"
    return name if number is None else f"{name}:{number}"
