"""Watches what a piece of work asks of the cache and of the database: for the site's panel and the tour's tables.

    with watched() as looks:
        with watch("How many airports there are"):
            Airport.objects.count()
    print(looks[0].hits, looks[0].statements)

The cache tells of itself by two signals, `cache_read` and `cache_invalidated`; Django tells of statements by
`execute_wrapper`. Context variables keep requests apart that are answered at the same time.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from django.db import connection
from django.db.models import Model
from django.dispatch import receiver

from cacheops.signals import cache_invalidated, cache_read


@dataclass(slots=True)
class Look:
    """One piece of work, and what it took."""

    words: str
    hits: int = 0
    misses: int = 0
    statements: int = 0
    """How often something was asked of the database."""
    seconds: float = 0.0
    cpu: float = 0.0
    """Seconds of this process's processor time."""
    dropped: list[tuple[type[Model], dict[str, Any]]] = field(default_factory=list)
    """The rows, as they were and as they are, whose dependents the cache has dropped."""

    @property
    def source(self) -> str:
        """Where the answer came from."""
        if not self.hits + self.misses:
            return "database"
        return "miss" if self.misses else "hit"

    @property
    def milliseconds(self) -> float:
        return self.seconds * 1000

    def execute(self, execute: Callable[..., Any], *args: Any) -> Any:
        """Count a statement, as an `execute_wrapper`."""
        self.statements += 1
        return execute(*args)

    def changes(self) -> list[str]:
        """Return the dropped rows in words, each with what distinguishes its versions."""
        versions: dict[tuple[type[Model], Any], list[dict[str, Any]]] = {}
        for model, row in self.dropped:
            # Rows that are inserted many at once may not know their primary keys; none of them has two versions.
            versions.setdefault((model, row.get(model._meta.pk.attname, id(row))), []).append(row)
        return [f"{model._meta.verbose_name}: {_difference(rows)}" for (model, _), rows in versions.items()]


_looks: ContextVar[list[Look] | None] = ContextVar("looks", default=None)
_current: ContextVar[Look | None] = ContextVar("current", default=None)


@contextmanager
def watched() -> Iterator[list[Look]]:
    """Collect what `watch` sees inside the block."""
    looks: list[Look] = []
    token = _looks.set(looks)
    try:
        yield looks
    finally:
        _looks.reset(token)


@contextmanager
def watch(words: str) -> Iterator[Look]:
    """Watch the work in the block, which the words describe."""
    look = Look(words)
    if (looks := _looks.get()) is not None:
        looks.append(look)
    token = _current.set(look)
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        with connection.execute_wrapper(look.execute):
            yield look
    finally:
        look.seconds, look.cpu = time.perf_counter() - wall, time.process_time() - cpu
        _current.reset(token)


@receiver(cache_read)
def note_read(hit: bool, **kwargs: Any) -> None:
    if look := _current.get():
        look.hits += hit
        look.misses += not hit


@receiver(cache_invalidated)
def note_dropped(sender: type[Model] | None, obj_dict: dict[str, Any] | None, **kwargs: Any) -> None:
    if (look := _current.get()) and sender:
        look.dropped.append((sender, obj_dict or {}))


def _difference(rows: list[dict[str, Any]]) -> str:
    """Tell what differs between a row as it was and as it is, or what is in it if there is only one of them."""
    first, last = rows[0], rows[-1]
    if len(rows) == 1:
        return ", ".join(f"{name} {value}" for name, value in first.items())
    changed = [f"{name} {first[name]} → {last[name]}" for name in first if first[name] != last.get(name)]
    return ", ".join(changed) or "saved without a change"
