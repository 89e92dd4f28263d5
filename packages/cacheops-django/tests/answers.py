"""Asking a question twice, and what the answers have to do with each other."""

from collections.abc import Callable
from typing import Any

from django.core.exceptions import MultipleObjectsReturned, ObjectDoesNotExist
from django.db import DEFAULT_DB_ALIAS, DJANGO_VERSION_PICKLE_KEY, connections
from django.db.models import Model, QuerySet
from django.test.utils import CaptureQueriesContext

from cacheops_django import scopes

Ask = Callable[[], Any]


def deep(value: Any, inside: tuple[int, ...] = ()) -> Any:
    """Return all that can be told about an answer, as plain values that can be compared."""
    if isinstance(value, Model):
        if id(value) in inside:
            return "itself"
        attributes, inside = vars(value), (*inside, id(value))
        # Down to their order, but for the references to peers and what Django leaves in objects that were pickled:
        # its version, and an empty cache of related objects where there was none yet.
        told = [
            (name, None if name == "_state" else found)
            for name, found in attributes.items()
            if name != DJANGO_VERSION_PICKLE_KEY
        ]
        state = vars(value._state).copy()
        peers = len(state.pop("peers", ()))
        known = [(name, found) for name, found in state.items() if found != {}]
        return type(value), deep(told, inside), deep(known, inside), peers
    if isinstance(value, QuerySet):
        return [deep(item, inside) for item in value]
    if isinstance(value, dict):
        return {name: deep(item, inside) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value).__name__, [deep(item, inside) for item in value]
    if isinstance(value, memoryview):
        return bytes(value)
    return type(value), value


def answer(ask: Ask) -> Any:
    """Return the answer as plain values; that there is no such row, or several, is an answer too."""
    try:
        return deep(ask())
    except (ObjectDoesNotExist, MultipleObjectsReturned) as error:
        return type(error)


def uncached(ask: Ask) -> Any:
    """Return what the database answers."""
    with scopes.deciding():
        return answer(ask)


def queries(ask: Ask, using: str = DEFAULT_DB_ALIAS) -> int:
    """Return how often the database is asked."""
    with CaptureQueriesContext(connections[using]) as captured:
        answer(ask)
    return len(captured)


def is_cached(ask: Ask) -> bool:
    """Tell whether the answer comes from the cache alone; if not, it does the next time."""
    return queries(ask) == 0


def keep(ask: Ask) -> None:
    """Have an answer cached, and make sure that it is."""
    answer(ask)
    assert is_cached(ask), "what has just been asked is not cached"


def is_right(ask: Ask) -> bool:
    """Tell whether the answer, wherever it comes from, is the database's."""
    return answer(ask) == uncached(ask)
