"""Around all that reads: what the cache may answer is done twice, and compared with the database (`comparing`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, TypeAlias

from django.db.models import Manager, QuerySet
from django.db.models.fields.related_descriptors import ForwardManyToOneDescriptor

from cacheops_core.cache import Cache
from cacheops_django.async_reads import can_repeat
from cacheops_django.installation import ASYNC_READS
from cacheops_django.patching import Patch, add, around
from cacheops_django.reads import wish_of
from django_tests.comparing import Reads, is_busy, judged, judged_async

Rows: TypeAlias = Any
"""A queryset with its private attributes, which its published types leave out."""


def patches() -> Iterator[Patch]:
    """Yield what stands around the methods that read."""
    yield around(QuerySet, "_fetch_all", fetch_all)
    for name in ("aggregate", "count", "exists", "get"):
        yield around(QuerySet, name, read)
    for name, _ in ASYNC_READS:
        yield around(QuerySet, f"a{name}", read_async)
    yield add(QuerySet, "__aiter__", iterate(QuerySet.__aiter__))
    yield around(Manager, "get", get_of_manager)
    yield around(ForwardManyToOneDescriptor, "get_object", get_referred)


def misses() -> Iterator[Patch]:
    """Yield what gives each lookup a key of its own."""
    numbers = count()
    for name in ("fetch", "fetch_together"):
        yield around(Cache, name, missing(lambda key: b"%s %d" % (key, next(numbers))))


def missing(own: Callable[[bytes], bytes]) -> Callable[..., Any]:
    """Return what has keys replaced, of one lookup or of several."""

    def fetch(original: Callable[..., Any], self: Cache, wanted: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(wanted, bytes):
            return original(self, own(wanted), *args, **kwargs)
        return original(self, [(own(key), *others) for key, *others in wanted])

    return fetch


# Around the methods that read


def fetch_all(original: Callable[..., Any], self: Rows) -> None:
    """Fetch the rows."""

    def fetch(queryset: Rows) -> list[Any]:
        original(queryset)
        return list(queryset._result_cache)

    if is_compared(self):
        judged(reads_of(self, fetch))
    else:
        original(self)


def read(original: Callable[..., Any], self: Rows, *args: Any, **kwargs: Any) -> Any:
    """Call a method of a queryset's."""
    if not is_compared(self, args, kwargs):
        return original(self, *args, **kwargs)
    return judged(reads_of(self, lambda queryset: original(queryset, *args, **kwargs)))


async def read_async(original: Callable[..., Any], self: Rows, *args: Any, **kwargs: Any) -> Any:
    """Await a method of a queryset's."""
    if not is_compared(self, args, kwargs):
        return await original(self, *args, **kwargs)
    return await judged_async(reads_of(self, lambda queryset: original(queryset, *args, **kwargs)))


def iterate(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return the asynchronous iteration over rows."""

    async def rows(queryset: Rows) -> list[Any]:
        return [row async for row in original(queryset)]

    async def iterator(self: Rows) -> Any:
        found = await (judged_async(reads_of(self, rows)) if is_compared(self) else rows(self))
        for row in found:
            yield row

    return iterator


def get_of_manager(original: Callable[..., Any], self: Any, *args: Any, **kwargs: Any) -> Any:
    """Get an object from a manager."""

    def get() -> Any:
        return original(self, *args, **kwargs)

    if is_busy() or not can_repeat((args, kwargs)):
        return get()
    return judged(Reads(self, get, get, lambda: self.get_queryset().nocache().get(*args, **kwargs)))


def get_referred(original: Callable[..., Any], self: Any, instance: Any) -> Any:
    """Get what a foreign key refers to."""

    def get() -> Any:
        return original(self, instance)

    def past() -> Any:
        return (
            self.get_queryset(instance=instance)
            .nocache()
            .get(self.field.get_reverse_related_filter(instance))
        )

    return get() if is_busy() else judged(Reads(self.field, get, get, past))


def is_compared(queryset: Rows, *arguments: Any) -> bool:
    """Tell whether a queryset's read can be done more than once."""
    return (
        not is_busy()
        and queryset._result_cache is None
        and not queryset._for_write
        and not wish_of(queryset).is_in_place
        and can_repeat(arguments)
    )


def reads_of(queryset: Rows, ask: Callable[[Rows], Any]) -> Reads:
    """Return the reads of what is asked of a queryset; itself it is asked the second time."""
    pristine = queryset._clone()
    return Reads(
        pristine,
        lambda: ask(pristine._clone()),
        lambda: ask(queryset),
        lambda: ask(pristine._clone().nocache()),
    )
