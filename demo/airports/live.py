"""Tells open pages what happens in the cache, while it happens: hits, misses, and what edits drop.

Whoever listens to `events` is called in the middle of a request, so it is only put into queues here; each open page has
one, and a thread that sends what comes out of it. (That is enough for a demo, which is served by one process.)
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from queue import Empty, Full, Queue
from typing import Any

from django.http import HttpRequest, StreamingHttpResponse

from cacheops_django import events, words

BREATH = 15
"""Seconds after which a page that hears nothing is told that the site is still there."""

_pages: list[Queue[dict[str, Any]]] = []


def stream(request: HttpRequest) -> StreamingHttpResponse:
    """Send what happens, for as long as the page is open (server-sent events)."""
    headers = {"Cache-Control": "no-store"}
    return StreamingHttpResponse(_lines(), content_type="text/event-stream", headers=headers)


def _lines() -> Iterator[str]:
    page: Queue[dict[str, Any]] = Queue(maxsize=1000)
    _pages.append(page)
    if _note not in events.listeners:
        events.listeners.append(_note)
    try:
        yield ": hello\n\n"
        while True:
            try:
                yield f"data: {json.dumps(page.get(timeout=BREATH))}\n\n"
            except Empty:
                yield ": still here\n\n"
    finally:
        _pages.remove(page)


def _note(event: events.Event) -> None:
    for page in _pages:
        # Who does not read is not waited for.
        with suppress(Full):
            page.put_nowait(_told(event))


def _told(event: events.Event) -> dict[str, Any]:
    if isinstance(event, events.Drop):
        return {"outcome": "dropped", "lines": words.changes(event.changes) or ["everything"]}
    if isinstance(event, events.Bypass):
        return {"outcome": "database", "lines": [f"{event.op} of {event.model}: {event.reason}"]}
    outcome = "hit" if event.is_hit else "miss"
    lines = [f"{event.op} of {event.model}", *words.dependencies(event.found)]
    return {"outcome": outcome, "lines": lines, "milliseconds": round(1000 * event.seconds, 1)}
