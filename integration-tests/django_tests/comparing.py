"""One read done twice, and compared with the database.

The first time it fills the cache, unless an earlier read has; the second is a hit; the third goes past the cache, and
has to come to the same. Tests are given what the second has said. What the cache is not asked for, such as rows in
random order, is compared with nothing: that it is not is known only after it has been read.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple, TypeAlias

from django.db import DatabaseError

from cacheops_django import attempts, scopes
from cacheops_django.signals import cache_read
from django_tests.pictures import picture
from django_tests.queries import unlogged
from django_tests.reports import OURS

LENGTH = 700
"""Characters of each answer that are told where they differ."""

_more_reads = 0
_heard: ContextVar[list[bool] | None] = ContextVar("django_tests_heard", default=None)
"""What the cache has said during a read that is being compared; None while there is none."""


class Reads(NamedTuple):
    """The three ways in which a read is done."""

    of: Any
    """The queryset, manager or field, for words."""
    first: Callable[[], Any]
    again: Callable[[], Any]
    past: Callable[[], Any]


class Answer(NamedTuple):
    """What a read has returned or raised."""

    value: Any = None
    error: Exception | None = None

    def given(self) -> Any:
        """Return or raise it."""
        if self.error is not None:
            raise self.error
        return self.value


Flow: TypeAlias = Generator[Callable[[], Any] | Answer, Answer, None]
"""Yields reads, each of which is to be answered, and in the end the answer that the test is given."""


def begin(more_reads: int = 0) -> None:
    """Listen to what the cache says; read so many times more before the one that counts."""
    global _more_reads
    _more_reads = more_reads
    cache_read.connect(_hear)


def is_busy() -> bool:
    """Tell whether a read is a part of one that is compared, or goes past the cache in any case."""
    return _heard.get() is not None or attempts.on_loop.get() is not None or scopes.is_deciding()


def judged(reads: Reads) -> Any:
    """Do the reads, and return or raise what the second did."""
    flow = _comparing(reads)
    step = next(flow)
    while not isinstance(step, Answer):
        try:
            answer = Answer(step())
        except Exception as error:
            answer = Answer(error=error)
        step = flow.send(answer)
    return step.given()


async def judged_async(reads: Reads) -> Any:
    """Do the reads, which are awaited, and return or raise what the second did."""
    flow = _comparing(reads)
    step: Callable[[], Awaitable[Any]] | Answer = next(flow)
    while not isinstance(step, Answer):
        try:
            answer = Answer(await step())
        except Exception as error:
            answer = Answer(error=error)
        step = flow.send(answer)
    return step.given()


def _comparing(reads: Reads) -> Flow:
    with _hearing():
        first = yield reads.first
    if isinstance(first.error, DatabaseError):
        # It may have ended the transaction, in which nothing can then be read.
        yield first
        return
    with unlogged():
        for _ in range(_more_reads):
            with _hearing():
                yield reads.first
        with _hearing() as heard:
            again = yield reads.again
        # What is prefetched for the rows goes past the cache too.
        with _hearing(), scopes.deciding():
            past = yield reads.past
    if heard:
        OURS.compared(is_hit=all(heard))
        _compare(reads, first, again, past)
    yield again


def _compare(reads: Reads, *answers: Answer) -> None:
    first, again, past = map(picture, answers)
    if first != again or again != past:
        told = [answer.value if answer.error is None else answer.error for answer in answers]
        lines = [f"{way}: {picture(one)!r}"[:LENGTH] for way, one in zip(WAYS, told, strict=True)]
        OURS.differs("\n".join([_words(reads.of)[:LENGTH], *lines]))


WAYS = ("the first time", "the second time", "past the cache")


def _words(of: Any) -> str:
    """Return what is read, as SQL if it has one: an empty query has none."""
    try:
        return f"{of.model._meta.label}: {getattr(of, 'query', of)}"
    except Exception as error:
        return f"{of.model._meta.label}: {error!r}"


@contextmanager
def _hearing() -> Iterator[list[bool]]:
    heard: list[bool] = []
    token = _heard.set(heard)
    try:
        yield heard
    finally:
        _heard.reset(token)


def _hear(*, hit: bool, **kwargs: Any) -> None:
    if (heard := _heard.get()) is not None:
        heard.append(hit)
