"""What is known of a question before it is asked: its key, what its answer depends on, and what is made of that.

All of it is found out by fingerprinting and walking the query, once for all that are alike, and kept until settings or
models change. Of a queryset with a chain (`chains`) it is known without the query.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import Model, QuerySet
from django.db.models.query import ModelIterable
from django.db.models.sql import Query

from cacheops_core.conditions import Dependencies

from . import chain_keys, chains, conf, counters, following, scopes, tables
from .attempts import NotOnLoop, on_loop
from .chains import ITERABLES, chain_of
from .dependencies import Examined, examine
from .fingerprints import Unfingerprintable, fingerprint, pattern
from .instances import Layout, keeps_types
from .query_texts import readable
from .reasons import Reason, Uncacheable

FETCHING = frozenset({"fetch", "get"})
"""Operations that bring rows."""

KNOWN_PLANS = 10_000
KNOWN_PATTERNS = 1_000


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


class More(NamedTuple):
    """What is asked of a queryset beyond its rows and the op."""

    query: Callable[[QuerySet[Any]], Query]
    """Returns the query in which that stands."""
    asked: Hashable
    """What the query does not say."""
    form: Hashable = None
    """Equal for what is equal, and known without the query; None where it is not."""


def plan_for(queryset: QuerySet[Any], using: str, op: str, more: More | None = None) -> tuple[bytes, Plan]:
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


def forget() -> None:
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
