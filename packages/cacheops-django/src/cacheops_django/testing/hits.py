"""Counting what the cache answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cacheops_django import events

__all__ = ["assert_cache_hits"]


@contextmanager
def assert_cache_hits(
    hits: int, misses: int | None = None, *, model: str | None = None
) -> Iterator[list[events.Lookup]]:
    """Raise AssertionError unless so many questions to the cache find their answer, and so many do not.

    Querysets and functions count alike; ``model``, a label such as "shop.Product", counts those of one model. Yields
    the list of lookups, which grows as they happen.
    """
    lookups: list[events.Lookup] = []

    def listen(event: events.Event) -> None:
        if isinstance(event, events.Lookup) and (model is None or event.model.lower() == model.lower()):
            lookups.append(event)

    events.listeners.append(listen)
    try:
        yield lookups
    finally:
        events.listeners.remove(listen)
    found = sum(lookup.is_hit for lookup in lookups)
    others = len(lookups) - found
    if found != hits or misses not in (None, others):
        wanted = f"{hits} hits" if misses is None else f"{hits} hits and {misses} misses"
        told = "\n".join(
            f"  {'hit' if lookup.is_hit else 'miss'}  {lookup.model} {lookup.op}: {lookup.what}"
            for lookup in lookups
        )
        raise AssertionError(
            f"expected {wanted}, got {found} hits and {others} misses{':' if told else ''}\n{told}"
        )
