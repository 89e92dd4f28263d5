"""Comparing what the cache says with what the database says, while a test runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Model

from cacheops_django import events, reads

__all__ = ["Audit", "assert_no_stale"]


@dataclass(slots=True)
class Audit:
    """What has been compared so far."""

    compared: int = 0
    """Answers of the cache."""
    stale: list[str] = field(default_factory=list)
    """Those that the database did not agree with, in words."""


@contextmanager
def assert_no_stale() -> Iterator[Audit]:
    """Raise AssertionError if the cache answers anything about rows that the database does not.

    Each answer is asked for once more in the database, so this is for tests, and slow. What another thread writes
    between the two is no fault: the cache is asked again before an answer counts as stale. Near copies, which may be
    behind other processes for a stated time, are compared like all others.
    """
    audit = Audit()
    original = reads.answered

    def answered(question: reads.Question, compute: Callable[[], Any], **how: Any) -> Any:
        value, was_computed = _ask(original, question, compute, how)
        if not was_computed:
            audit.compared += 1
            actual = compute()
            if not _is_same(value, actual):
                again, was_computed = _ask(original, question, compute, how)
                if not was_computed and not _is_same(again, actual) and not _is_same(again, compute()):
                    audit.stale.append(_told(question, again, actual))
        return value

    def listen(event: events.Event) -> None:
        """Have every question go the one way that is compared: the short ones are for when nobody listens."""

    reads.answered = answered
    events.listeners.append(listen)
    try:
        yield audit
    finally:
        events.listeners.remove(listen)
        reads.answered = original
    if audit.stale:
        raise AssertionError("the cache has given stale answers:\n" + "\n".join(audit.stale))


def _ask(
    original: Callable[..., Any], question: reads.Question, compute: Callable[[], Any], how: dict[str, Any]
) -> tuple[Any, bool]:
    asked = reads.Noting(compute)
    return original(question, asked, **how), asked.was_called


def _is_same(cached: Any, actual: Any) -> bool:
    return bool(_plain(cached) == _plain(actual))


def _plain(value: Any) -> Any:
    """Return what can be compared: rows as tuples, however they are kept, and objects as their values."""
    if isinstance(value, Model):
        known = {name: _plain(one) for name, one in vars(value).items() if name != "_state"}
        return type(value), known, {name: _plain(one) for name, one in value._state.fields_cache.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value


def _told(question: reads.Question, cached: Any, actual: Any) -> str:
    model = question.queryset.model._meta.label
    return f"  {question.op} of {model}: {question.queryset.query}\n    cache: {cached!r}\n    database: {actual!r}"
