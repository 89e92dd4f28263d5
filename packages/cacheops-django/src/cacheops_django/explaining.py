"""Explaining what the cache would do with a question: `explain` asks it, and neither fills nor changes anything.

The question is asked by the very code that always asks it, which is stopped once it is known what it wants from the
cache, or why it wants nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from django.db.models import Manager, QuerySet

from cacheops_core.cache import Cache
from cacheops_core.conditions import Dependencies
from cacheops_core.errors import ConfigurationError
from cacheops_core.examining import Examined, State, examine

from . import attempts, conf, counters, reads, words
from .compiling import untied
from .explanations import DependsOn, Explanation
from .functions import Kept, ProjectFunction
from .query_texts import readable
from .reasons import Reason, Uncacheable
from .results import NOTHING, Results, name_of
from .shelves import ProjectShelf, row_of
from .views import CachedView

__all__ = ["METHODS", "explain"]

METHODS = {
    "fetch": "fetch",
    "get": "get",
    "first": "get",
    "last": "get",
    "earliest": "get",
    "latest": "get",
    "count": "count",
    "exists": "exists",
    "contains": "exists",
    "aggregate": "aggregate",
}
"""What can be asked of a queryset, with the op that profiles call it."""


def explain(subject: Any, *args: Any, **kwargs: Any) -> Explanation:
    """Return what the cache would do with a question, without asking it.

    ``explain(queryset)`` is about its rows, ``explain(queryset, "count")`` about another of `METHODS`, whose arguments
    follow: ``explain(Product.objects, "get", pk=1)``. Of a function that is decorated with ``cached_as`` or ``cached``,
    and of a view, it is about the call with these arguments.
    """
    if isinstance(subject, Manager):
        subject = subject.all()
    if isinstance(subject, QuerySet):
        return _explain_queryset(subject, *args, **kwargs)
    if isinstance(subject, ProjectFunction):
        return _explain_call(subject, args, kwargs)
    if isinstance(subject, CachedView):
        return _explain_view(subject, args, kwargs)
    raise ConfigurationError(
        f"explain needs a queryset, or a function or view that is cached, got {subject!r}"
    )


# Querysets


class Told(BaseException):
    """Stops a method that asks the cache. Not an Exception, so that nobody handles it on the way."""

    def __init__(
        self, queryset: QuerySet[Any], cache: Cache, key: bytes, found: Dependencies, tally: counters.Tally
    ) -> None:
        super().__init__(key)
        self.queryset: QuerySet[Any] = queryset
        self.cache: Cache = cache
        self.key: bytes = key
        self.found: Dependencies = found
        self.tally: counters.Tally = tally


class Trial:
    """Stands in for the cache while a method is tried."""

    may_walk = True

    def answer(self, *asked: Any) -> NoReturn:
        """Stop the method at what it asks."""
        raise Told(*asked)


def _explain_queryset(
    queryset: QuerySet[Any], method: str = "fetch", *args: Any, **kwargs: Any
) -> Explanation:
    if method not in METHODS:
        raise ConfigurationError(f"what is asked must be one of {', '.join(METHODS)}, got {method!r}")
    op, asked = METHODS[method], f"{method} of {queryset.model._meta.label}"
    if refusal := _unwanted(queryset, op):
        return Explanation(asked=asked, outcome="never", because=refusal[0], remedy=refusal[1])
    copy: Any = queryset.all()
    ask: Callable[[], Any] = (
        copy._fetch_all if method == "fetch" else lambda: getattr(copy, method)(*args, **kwargs)
    )
    token = attempts.on_loop.set(Trial())
    try:
        ask()
    except Told as told:
        return _explain_lookup(asked, told)
    except attempts.NotOnLoop as refused:
        reason = getattr(refused.__cause__, "reason", Reason(str(refused.__cause__)))
        return Explanation(
            asked=asked,
            outcome="never",
            because=str(reason),
            remedy=reason.remedy,
            query=_sql(copy),
        )
    finally:
        attempts.on_loop.reset(token)
    because = "Django answers it without asking anybody."
    return Explanation(asked=asked, outcome="never", because=because)


def _unwanted(queryset: QuerySet[Any], op: str) -> tuple[str, str] | None:
    """Return why nobody wants an operation to be cached, and what to change; None if somebody does."""
    if reads.is_wanted(queryset, op):
        return None
    settings, label = conf.current(), queryset.model._meta.label_lower
    if not settings.enabled:
        return "CACHEOPS_ENABLED is False.", "Set it to True."
    profile = settings.profile_for(queryset.model)
    if profile is None:
        because = f"CACHEOPS has no profile for {label}, or maps it to None."
        return because, f'Add "{label}": {{"ops": "{op}", "timeout": ...}} to CACHEOPS.'
    if (ops := reads.wish_of(queryset).ops) is not None:
        if not ops:
            return "The queryset asks to go past the cache.", "Leave nocache() out."
        return f"cache() has asked for {_listed(ops)} only.", f'Add "{op}" to its ops.'
    because = f"{profile.name} caches {_listed(profile.ops) or 'nothing by itself'}."
    return because, f'Add "{op}" to its "ops", or ask for it with .cache().'


def _listed(ops: frozenset[str]) -> str:
    return ", ".join(sorted(ops))


def _sql(queryset: QuerySet[Any]) -> str:
    """Return a query without its values; nothing if it has none."""
    try:
        sql, _ = untied(queryset.query).get_compiler(queryset.db).as_sql()
    except Exception:
        # It is shown besides; whoever runs the query is told what is wrong with it.
        return ""
    return readable(sql)


def _explain_lookup(asked: str, told: Told) -> Explanation:
    wish, profile = reads.wish_of(told.queryset), conf.current().profile_for(told.queryset.model)
    is_left_open = wish.timeout is reads.NOT_GIVEN
    timeout = profile.timeout if is_left_open and profile is not None else wish.timeout
    return _explain_entry(
        asked, told.cache, told.key, told.found, timeout, told.tally.what, is_write_only=wish.is_write_only
    )


# Functions and views


def _explain_call(
    func: ProjectFunction[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Explanation:
    kept: Kept = func._policy.cache
    make_key, _ = func._makers(*args, **kwargs)
    return _explain_result(kept.results, kept.func, make_key)


def _explain_view(view: CachedView[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Explanation:
    name, shelf = name_of(view._function), view._shelf
    if not isinstance(shelf, ProjectShelf):
        because = "Its answers are kept in files, which depend on nothing but time."
        return Explanation(asked=name, outcome="never", because=because)
    visit = view._visit(args, kwargs)
    if visit is None:
        because = "Answers to GET and HEAD are cached only, and if CACHEOPS_ENABLED is True."
        return Explanation(asked=name, outcome="never", because=because)
    if not visit.look():
        because = "The request brings credentials, on which its answer is likely to depend."
        remedy = 'Let the answer say so: "Vary: Authorization" keeps one for each.'
        return Explanation(asked=name, outcome="never", because=because, remedy=remedy)
    return _explain_result(shelf.results, view._function, visit.key, row_of(visit.page))


def _explain_result(
    results: Results, func: Any, make_key: Callable[[], bytes], more: Dependencies = NOTHING
) -> Explanation:
    name = name_of(func)
    if not conf.current().enabled:
        because, remedy = "CACHEOPS_ENABLED is False.", "Set it to True."
        return Explanation(asked=name, outcome="never", because=because, remedy=remedy)
    try:
        found = results.dependencies()
        results.refuse_open_write(found)
        cache = results.cache(func)
    except Uncacheable as refusal:
        reason = refusal.reason
        return Explanation(asked=name, outcome="never", because=str(reason), remedy=reason.remedy)
    return _explain_entry(name, cache, make_key(), found.merge(more), results.timeout(), name)


# Entries


def _explain_entry(
    asked: str,
    cache: Cache,
    key: bytes,
    found: Dependencies,
    timeout: float | None,
    query: str,
    *,
    is_write_only: bool = False,
) -> Explanation:
    seen = cache.driver.run(examine(cache, key, found))
    is_hit = seen.state is State.HIT and not is_write_only
    depends_on = tuple(
        DependsOn(
            words=words.rows(stamp.table, stamp.conjunction),
            key=stamp.key,
            age=None if stamp.born is None else seen.now - stamp.born,
            is_being_written=stamp.is_fenced,
        )
        for stamp in seen.stamps
    )
    return Explanation(
        asked=asked,
        outcome="hit" if is_hit else "miss",
        because=_because(seen, is_write_only),
        query=query,
        key=seen.key,
        depends_on=depends_on,
        timeout=timeout,
        size=seen.size,
        expires_in=seen.expires_in,
    )


def _because(seen: Examined, is_write_only: bool) -> str:
    """Return why an entry is a hit or a miss."""
    if is_write_only:
        return "cache(write_only=True) asks the database each time, and stores what it says."
    written = [words.rows(stamp.table, stamp.conjunction) for stamp in seen.stamps if stamp.is_fenced]
    if written:
        return (
            f"A transaction that changes {_or(written)} is committing: nothing is served or stored meanwhile."
        )
    if seen.state is State.OUTDATED:
        changed = [words.rows(stamp.table, stamp.conjunction) for stamp in seen.stamps if stamp.has_changed]
        return f"What is stored is from before a change to {_or(changed)}, and is never served again."
    if seen.state is State.UNREADABLE:
        return f"What is stored cannot be read, and is replaced by whoever asks: {seen.why}."
    if seen.state is State.NOTHING:
        return "Nothing is stored under the key."
    return "Nothing that it depends on has changed." if seen.stamps else "Its time is not over."


def _or(parts: list[str]) -> str:
    return " or ".join(parts)
