"""Asking the cache in the database's place, and storing what the database said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any, NamedTuple

from django.db import connections
from django.db.models import Model, QuerySet

from cacheops_core.cache import Cache, Lookup
from cacheops_core.conditions import Dependencies
from cacheops_core.near import MISS
from cacheops_core.verbs import Verbs

from . import caches, conf, counters, events, following, plans, tables
from .attempts import NotOnLoop, on_loop
from .fingerprints import Unfingerprintable
from .reasons import Uncacheable, log, record
from .signals import cache_read
from .snapshots import is_current, may_fill
from .transactions import is_anybody_writing, work_of

NOT_GIVEN: Any = object()


@dataclass(frozen=True, slots=True)
class Wish:
    """What ``.cache()`` and ``.nocache()`` have asked of one queryset."""

    ops: frozenset[str] | None = None
    """None leaves it to the profile."""
    timeout: Any = NOT_GIVEN
    is_write_only: bool = False
    """Whether to store what the database says, but not to ask the cache."""
    lock: bool | None = None
    """Whether one caller asks the database while the others wait; None leaves it to the profile."""
    is_in_place: bool = False
    """Whether the queryset's methods change it, and return it, instead of a copy."""
    is_single: bool = False
    """Whether the fetch of the queryset's rows is a ``get`` in the words of profiles."""
    lookup: Lookup | None = None
    """What the cache has said about the one question that this queryset is for."""


NO_WISH = Wish()


def wish_of(queryset: QuerySet[Any]) -> Wish:
    """Return what has been asked of a queryset."""
    wish: Wish = queryset.__dict__.get("_cacheops", NO_WISH)
    return wish


def is_wanted(queryset: QuerySet[Any], op: str) -> bool:
    """Tell whether the profile, or the queryset itself, wants an operation cached."""
    settings = conf.current()
    profile = settings.profile_for(queryset.model)
    if profile is None or not settings.enabled:
        return False
    ops = wish_of(queryset).ops
    return op in (profile.ops if ops is None else ops)


class Question(NamedTuple):
    """What is asked of the cache, and where."""

    queryset: QuerySet[Any]
    op: str
    using: str
    """The database that is asked, and that may be stored from: a router may name another one each time."""
    key: bytes
    plan: plans.Plan
    cache: Cache


def answer(
    queryset: QuerySet[Any],
    op: str,
    compute: Callable[[QuerySet[Any]], Any],
    more: plans.More | None = None,
) -> Any:
    """Return the result of an operation that is wanted: from the cache, or else computed and stored."""
    question = ask(queryset, op, more)
    if question is None:
        return compute(queryset)
    return answered(question, lambda: compute(queryset.using(question.using)))


def ask(queryset: QuerySet[Any], op: str, more: plans.More | None = None) -> Question | None:
    """Return an operation that is wanted as a question to the cache; None, once that is noted, if it is none."""
    using = queryset.db
    try:
        key, plan = plans.plan_for(queryset, using, op, more)
        _refuse_open_write(plan.tables, using)
        cache = _cache_of(plan.tables, using)
    except (Uncacheable, Unfingerprintable) as refusal:
        if on_loop.get() is not None:
            raise NotOnLoop from refusal
        record(queryset.model._meta.label, op, refusal.reason)
        return None
    return Question(queryset, op, using, key, plan, cache)


def answered(
    question: Question,
    compute: Callable[[], Any],
    *,
    fits: Callable[[Any], bool] = lambda value: True,
) -> Any:
    """Return the answer: from the cache, if what is there ``fits``, or else computed, and stored."""
    queryset, _, _, key, plan, cache = question
    if (answers := on_loop.get()) is not None:
        value = answers.answer(queryset, cache, key, plan.found, plan.tally)
        if not fits(value):
            raise NotOnLoop
        return value
    ask = Noting(compute)
    value = _near(question, fits)
    if value is MISS:
        value = _answered(question, ask, fits)
    note(queryset.model, plan.tally, ask, cache, key, plan.found)
    return value


def note(
    model: type[Model], tally: counters.Tally, ask: Noting, cache: Cache, key: bytes, found: Dependencies
) -> None:
    """Count what has come of asking, and tell those who want to know."""
    count(tally, ask, cache, key, found)
    if cache_read.receivers:
        cache_read.send_robust(sender=model, func=None, hit=not ask.was_called)


def count(tally: counters.Tally, ask: Noting, cache: Verbs, key: bytes, found: Dependencies) -> None:
    """Count what has come of asking, and tell those who listen to events."""
    if not ask.was_called:
        tally.hits += 1
    elif cache.circuit.is_open and not ask.is_stored:
        record(tally.model, tally.op, "the cache server does not answer", "away")
        return
    else:
        tally.missed(ask.seconds, is_stored=ask.is_stored)
    if events.listeners:
        _tell(tally, ask, cache, key, found)


def _near(question: Question, fits: Callable[[Any], bool]) -> Any:
    """Return what this process has kept, or MISS."""
    if not question.plan.is_near or wish_of(question.queryset).is_write_only:
        return MISS
    value = question.cache.near.get(question.key)
    return value if value is not MISS and fits(value) else MISS


def _tell(tally: counters.Tally, ask: Noting, cache: Verbs, key: bytes, found: Dependencies) -> None:
    """Tell those who listen to events what has come of asking."""
    events.tell(
        events.Lookup(
            model=tally.model,
            op=tally.op,
            what=tally.what,
            key=cache.key_of(key, found),
            found=found,
            is_hit=not ask.was_called,
            is_stored=ask.is_stored,
            # Somebody may have begun to listen meanwhile.
            seconds=perf_counter() - ask.began if ask.began else ask.seconds,
            computing=ask.seconds,
        )
    )


class Noting:
    """A function without arguments that knows whether it has been called, for how long, and what became of it."""

    was_called: bool = False
    seconds: float = 0.0
    is_stored: bool = False
    value: Any = None

    def __init__(self, func: Callable[[], Any]) -> None:
        self._func = func
        self.began: float = perf_counter() if events.listeners else 0.0

    def __call__(self) -> Any:
        self.was_called = True
        began = perf_counter()
        try:
            self.value = self._func()
            return self.value
        finally:
            self.seconds = perf_counter() - began

    async def awaited(self) -> Any:
        """Call a coroutine function."""
        self.was_called = True
        began = perf_counter()
        try:
            return await self._func()
        finally:
            self.seconds = perf_counter() - began

    def stored(self, is_stored: bool) -> None:
        """Note whether the value has been stored."""
        self.is_stored = is_stored


def _answered(question: Question, ask: Noting, fits: Callable[[Any], bool]) -> Any:
    queryset, op, using, key, plan, cache = question
    model, wish = queryset.model, wish_of(queryset)
    profile = conf.current().profile_for(model)
    timeout = wish.timeout if wish.timeout is not NOT_GIVEN or profile is None else profile.timeout
    lock = wish.lock if wish.lock is not None else profile is not None and profile.lock
    stale = profile.stale if profile is not None else 0.0
    near = key if plan.is_near and not wish.is_write_only else False
    if (lock or stale) and not wish.is_write_only and is_current(connections[using]):
        value = cache.get_or_compute(
            key,
            plan.found,
            ask,
            timeout,
            lock=lock,
            stale=stale,
            near=near,
            told=ask.stored,
        )
        if ask.was_called:
            return ask.value
        return value if fits(value) else ask()
    # Whoever holds locks of the database's waits for nobody, who might wait for these.
    lookup = wish.lookup
    if lookup is None or lookup.key != cache.key_of(key, plan.found):
        lookup = (
            following.fetch(cache, key, plan.found, timeout)
            if near is False
            else cache.fetch(key, plan.found, timeout, near=near)
        )
    if lookup.is_hit and not wish.is_write_only:
        if fits(lookup.value):
            return lookup.value
        log.warning("Entry %s counts as a miss: it is not what %s of %s stores", lookup.key, op, model)
        if lookup.head is None:
            # A copy of this process's gives nobody the right to store another.
            lookup = cache.fetch(key, plan.found, timeout)
    if lookup.head is not None and not may_fill(connections[using], lookup):
        record(
            model._meta.label,
            op,
            "the database may show this connection older rows than the stamps stand for",
            "snapshot",
        )
        lookup.head = None
    value = ask()
    ask.stored(cache.fill(lookup, value))
    return value


def _refuse_open_write(names: tuple[str, ...], using: str) -> None:
    forbidden = tables.forbidden()
    if not forbidden.isdisjoint(names):
        table = next(table for table in names if table in forbidden)
        raise Uncacheable(
            f"it reads {table}, which the settings map to None: its writes are not tracked", "forbidden"
        )
    if is_anybody_writing() and work_of(connections[using]).touches(names):
        raise Uncacheable("the open transaction has written to what it reads", "transaction")


def _cache_of(names: tuple[str, ...], using: str) -> Cache:
    # Whoever writes does so on the primary, and asks for the prefix there.
    return caches.of(names, conf.current().primary_of(using))
