"""Asking the cache in the database's place, and storing what the database said."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextvars import ContextVar
from dataclasses import dataclass
from time import perf_counter
from typing import Any, NamedTuple

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import Model, QuerySet
from django.db.models.query import ModelIterable
from django.db.models.sql import Query

from cacheops_core.cache import Cache, Lookup
from cacheops_core.conditions import Dependencies
from cacheops_core.near import MISS
from cacheops_core.verbs import Verbs

from . import caches, chain_keys, chains, conf, counters, events, following, scopes, tables
from .chains import ITERABLES, chain_of
from .dependencies import Examined, examine
from .fingerprints import Unfingerprintable, fingerprint, pattern
from .instances import Layout, keeps_types
from .query_texts import readable
from .reasons import Reason, Uncacheable, log, record
from .signals import cache_read
from .snapshots import is_current, may_fill
from .transactions import is_anybody_writing, work_of

FETCHING = frozenset({"fetch", "get"})
"""Operations that bring rows."""

KNOWN_PLANS = 10_000
KNOWN_PATTERNS = 1_000

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


class Plan(NamedTuple):
    """What is known of a query once it has been walked."""

    found: Dependencies
    tally: counters.Tally
    layout: Layout | None
    """How rows become objects; None where they are stored as they are, or as what is made of them."""
    tables: tuple[str, ...]
    """The names of all tables in `found`."""
    is_near: bool
    """Whether the process keeps results, too."""
    pattern: bytes | None
    """What the query has in common with others that become the same SQL; None if there are none."""


_plans: OrderedDict[bytes, Plan | Reason] = OrderedDict()
_walked: OrderedDict[bytes, tuple[Plan, Examined]] = OrderedDict()
"""For each pattern, what the first query has brought that had it."""

_samples: OrderedDict[bytes, Dependencies | Reason] = OrderedDict()
"""What the querysets depend on that stand for rows elsewhere."""

ways: dict[Any, Any] = {}
"""How objects are got without a plan (`gets`), known for as long as plans are."""


on_loop: ContextVar[Any] = ContextVar("cacheops_on_loop", default=None)
"""What has the answers while a method is tried on an event loop, where no database can be asked (`async_reads`), or
only to see what it asks (`explaining`)."""


class NotOnLoop(BaseException):
    """Raised by a method that is tried on an event loop and needs a thread."""


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


class More(NamedTuple):
    """What is asked of a queryset beyond its rows and the op."""

    query: Callable[[QuerySet[Any]], Query]
    """Returns the query in which that stands."""
    asked: Hashable
    """What the query does not say."""
    form: Hashable = None
    """Equal for what is equal, and known without the query; None where it is not."""


class Question(NamedTuple):
    """What is asked of the cache, and where."""

    queryset: QuerySet[Any]
    op: str
    using: str
    """The database that is asked, and that may be stored from: a router may name another one each time."""
    key: bytes
    plan: Plan
    cache: Cache


def answer(
    queryset: QuerySet[Any],
    op: str,
    compute: Callable[[QuerySet[Any]], Any],
    more: More | None = None,
) -> Any:
    """Return the result of an operation that is wanted: from the cache, or else computed and stored."""
    question = ask(queryset, op, more)
    if question is None:
        return compute(queryset)
    return answered(question, lambda: compute(queryset.using(question.using)))


def ask(queryset: QuerySet[Any], op: str, more: More | None = None) -> Question | None:
    """Return an operation that is wanted as a question to the cache; None, once that is noted, if it is none."""
    using = queryset.db
    try:
        key, plan = _known(queryset, using, op, more)
        _refuse_open_write(plan.tables, using)
        cache = _cache_of(plan.tables, using)
    except (Uncacheable, Unfingerprintable) as refusal:
        if on_loop.get() is not None:
            raise NotOnLoop from refusal
        record(queryset.model, op, refusal.reason)
        return None
    return Question(queryset, op, using, key, plan, cache)


def answered(
    question: Question,
    compute: Callable[[], Any],
    *,
    fits: Callable[[Any], bool] = lambda value: True,
    storable: Callable[[Any], Any] = lambda value: value,
) -> Any:
    """Return the answer: from the cache, if what is there ``fits``, or else computed, and stored as ``storable``."""
    queryset, _, _, key, plan, cache = question
    if (answers := on_loop.get()) is not None:
        value = answers.answer(queryset, cache, key, plan.found, plan.tally)
        if not fits(value):
            raise NotOnLoop
        return value
    ask = Noting(compute)
    value = _near(question, fits)
    if value is MISS:
        value = _answered(question, ask, fits, storable)
    note(queryset.model, plan.tally, ask, cache, key, plan.found)
    return value


def note(
    model: type[Model], tally: counters.Tally, ask: Noting, cache: Cache, key: bytes, found: Dependencies
) -> None:
    """Count what has come of asking, and tell those who want to know."""
    if ask.was_called:
        tally.missed(ask.seconds, is_stored=ask.is_stored)
    else:
        tally.hits += 1
    if events.listeners:
        tell(tally, ask, cache, key, found)
    if cache_read.receivers:
        cache_read.send_robust(sender=model, func=None, hit=not ask.was_called)


def _near(question: Question, fits: Callable[[Any], bool]) -> Any:
    """Return what this process has kept, or MISS."""
    if not question.plan.is_near or wish_of(question.queryset).is_write_only:
        return MISS
    value = question.cache.near.get(question.key)
    return value if value is not MISS and fits(value) else MISS


def tell(tally: counters.Tally, ask: Noting, cache: Verbs, key: bytes, found: Dependencies) -> None:
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


def _answered(
    question: Question, ask: Noting, fits: Callable[[Any], bool], storable: Callable[[Any], Any]
) -> Any:
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
            lambda: storable(ask()),
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
            model,
            op,
            "the database may show this connection older rows than the stamps stand for",
            "snapshot",
        )
        lookup.head = None
    value = ask()
    ask.stored(cache.fill(lookup, storable(value)))
    return value


def _known(queryset: QuerySet[Any], using: str, op: str, more: More | None = None) -> tuple[bytes, Plan]:
    """Return what `_plan` returns for an op, without the query where that is known."""
    form = op if more is None else more.form
    chain = chain_of(queryset) if form is not None else None
    if (
        chain is not None
        and (known := chain_keys.known(chain, form, using)) is not None
        and not scopes.is_deciding()
        and not vars(queryset)["_for_write"]
    ):
        return known

    def slowly(queryset: Any) -> tuple[bytes, Plan]:
        if more is None:
            return _plan(queryset, queryset.query, using, op, op)
        return _plan(queryset, more.query(queryset), using, op, more.asked)

    def ask(queryset: Any) -> tuple[bytes, Dependencies]:
        key, plan = slowly(queryset)
        return key, plan.found

    key, plan = slowly(queryset)
    if chain is not None:
        chain_keys.learn(
            queryset, chain, form, using, (key, plan.found), lambda found: plan._replace(found=found), ask
        )
    return key, plan


def _plan(queryset: QuerySet[Any], query: Query, using: str, op: str, asked: Hashable) -> tuple[bytes, Plan]:
    """Return the key of what is asked, and what is known of it; raise Uncacheable or Unfingerprintable."""
    if query.select_for_update:
        raise Uncacheable("select_for_update() asks for locks, not only for rows", "locks")
    if scopes.is_deciding() or vars(queryset)["_for_write"]:
        raise Uncacheable("a write is decided on what this reads", "deciding")
    if op in ("get", "fetch") and queryset._iterable_class not in ITERABLES:
        kind = queryset._iterable_class
        raise Uncacheable(
            f"{kind.__module__}.{kind.__qualname__} makes results in a way of its own", "results"
        )
    mode = type(getattr(queryset, "_fetch_mode", None)).__name__
    origin, model = _origin(queryset.model, using), queryset.model
    question = query, origin, asked, model, queryset._iterable_class, (mode,)
    key = fingerprint(*question)
    # Equal keys mean equal SQL, and so equal dependencies: a query is walked once per process.
    plan = _plans.get(key)
    if plan is None:
        plan = _plans[key] = _examine(queryset, query, using, op, pattern(*question))
        if len(_plans) > KNOWN_PLANS:
            _plans.popitem(last=False)
    if isinstance(plan, Reason):
        raise Uncacheable(plan)
    return key, plan


def _origin(model: type[Model], using: str) -> str:
    """Return the database whose answers are as good as this one's: its primary, or any if the profile says so."""
    profile = conf.current().profile_for(model)
    return DEFAULT_DB_ALIAS if profile and profile.db_agnostic else conf.current().primary_of(using)


def _examine(
    queryset: QuerySet[Any], query: Query, using: str, op: str, pattern: bytes | None
) -> Plan | Reason:
    if pattern is not None and (known := _walked.get(pattern)) is not None:
        plan, examined = known
        return plan._replace(found=examined.alike(query, connections[using].vendor))
    if (answers := on_loop.get()) is not None and not answers.may_walk:
        # To walk a query is to compile it, for which some databases are asked for their version.
        raise NotOnLoop
    try:
        examined = examine(query, using)
    except Uncacheable as refusal:
        return refusal.reason
    tally = counters.tally_of(queryset.model._meta.label, op, readable(examined.sql))
    has_objects = op in FETCHING and queryset._iterable_class is ModelIterable
    is_laid_out = has_objects and keeps_types(conf.current().serializer)
    layout = Layout(examined.compiler) if is_laid_out else None
    names = tuple(table for table, _ in examined.found.tables)
    plan = Plan(examined.found, tally, layout, names, tables.are_near(names, op), pattern)
    if pattern is not None:
        _walked[pattern] = plan, examined
        if len(_walked) > KNOWN_PATTERNS:
            _walked.popitem(last=False)
    return plan


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


def forget_plans() -> None:
    """Forget what queries depend on, after settings or models have changed."""
    _plans.clear()
    _walked.clear()
    _samples.clear()
    ways.clear()
    chains.forget()
    following.forget()


def depends(queryset: QuerySet[Any]) -> tuple[bytes, Dependencies]:
    """Return the key of a queryset's rows, and what they depend on, which is found out once for each key.

    Raises Uncacheable or Unfingerprintable.
    """
    using = queryset.db
    chain = chain_of(queryset)
    if chain is not None and (known := chain_keys.known(chain, "sample", using)) is not None:
        return known
    key, found = _depends(queryset, using)
    if chain is not None:
        chain_keys.learn(
            queryset,
            chain,
            "sample",
            using,
            (key, found),
            lambda found: found,
            lambda queryset: _depends(queryset, using),
        )
    return key, found


def _depends(queryset: QuerySet[Any], using: str) -> tuple[bytes, Dependencies]:
    try:
        key = fingerprint(queryset.query, using, "sample", queryset.model, queryset._iterable_class)
    except Unfingerprintable:
        # If this is no reason by itself.
        examine(queryset.query, using)
        raise
    found = _samples.get(key)
    if found is None:
        try:
            found = examine(queryset.query, using).found
        except Uncacheable as refusal:
            found = refusal.reason
        _samples[key] = found
        if len(_samples) > KNOWN_PLANS:
            _samples.popitem(last=False)
    if isinstance(found, Reason):
        raise Uncacheable(found)
    return key, found


def plan_of(key: bytes) -> Plan | None:
    """Return what is known of the query with this key, if it can be cached."""
    plan = _plans.get(key)
    return plan if isinstance(plan, Plan) else None
