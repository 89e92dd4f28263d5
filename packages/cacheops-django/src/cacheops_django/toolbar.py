"""A panel for django-debug-toolbar (extra ``toolbar``): what a request asked the cache, and what it dropped.

Add ``"cacheops.toolbar.CacheopsPanel"`` to ``DEBUG_TOOLBAR_PANELS``.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from debug_toolbar.panels import Panel
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from . import events, words

__all__ = ["CacheopsPanel"]

_seen: ContextVar[list[events.Event] | None] = ContextVar("cacheops_toolbar", default=None)
"""What has happened in the request; threads that work for it see the same list."""


def _note(event: events.Event) -> None:
    if (seen := _seen.get()) is not None:
        seen.append(event)


class CacheopsPanel(Panel):
    """Lists every lookup of the request: what was asked, whether it was a hit, how long it took, what drops it."""

    template = "cacheops/toolbar.html"
    title = nav_title = "Cacheops"
    is_async = True

    @classmethod
    def ready(cls) -> None:
        """Listen to what happens in the cache."""
        if _note not in events.listeners:
            events.listeners.append(_note)

    @property
    def nav_subtitle(self) -> str:
        """How many hits and misses there were."""
        stats = self.get_stats()
        return f"{stats.get('hits', 0)} hits, {stats.get('misses', 0)} misses" if stats else ""

    def enable_instrumentation(self) -> None:
        """Begin to note what happens."""
        _seen.set([])

    def disable_instrumentation(self) -> None:
        """Note nothing more; what was noted is kept for `generate_stats`."""
        self._events = _seen.get() or []
        _seen.set(None)

    def generate_stats(self, request: HttpRequest, response: HttpResponseBase) -> None:
        """Put together what is shown, as plain values: the toolbar keeps them for requests of the past."""
        noted = self._events
        lookups = [event for event in noted if isinstance(event, events.Lookup)]
        self.record_stats(
            {
                "hits": sum(event.is_hit for event in lookups),
                "misses": sum(not event.is_hit for event in lookups),
                "milliseconds": 1000 * sum(event.seconds for event in lookups),
                "computing": 1000 * sum(event.computing for event in lookups),
                "asked": [_asked(event) for event in noted if not isinstance(event, events.Drop)],
                "dropped": [
                    line for event in noted if isinstance(event, events.Drop) for line in _dropped(event)
                ],
            }
        )

    def generate_server_timing(self, request: HttpRequest, response: HttpResponseBase) -> None:
        """Tell the browser how long the cache took."""
        stats = self.get_stats()
        took = stats.get("milliseconds", 0.0) - stats.get("computing", 0.0)
        self.record_server_timing("lookups", f"Cacheops: {self.nav_subtitle}", took)


def _asked(event: events.Lookup | events.Bypass) -> dict[str, Any]:
    """Return a line of the list."""
    asked: dict[str, Any] = {"model": event.model, "op": event.op}
    if isinstance(event, events.Bypass):
        return asked | {"outcome": "bypass", "says": "not cached", "what": event.reason}
    says = "hit" if event.is_hit else "miss" if event.is_stored else "miss, not stored"
    return asked | {
        "outcome": "hit" if event.is_hit else "miss",
        "says": says,
        "what": event.what,
        "milliseconds": 1000 * event.seconds,
        "computing": 1000 * event.computing,
        "depends_on": words.dependencies(event.found),
        "key": event.key,
    }


def _dropped(drop: events.Drop) -> list[str]:
    return words.changes(drop.changes) or ["everything in the cache"]
