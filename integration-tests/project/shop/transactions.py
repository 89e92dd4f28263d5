"""Every way to begin a transaction and every way to end it, for processes of the project to go through.

Each writes to a product, and comes to a moment then, ``("after", "write")``, at which it can be held.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any, NamedTuple

from django.core.handlers.base import BaseHandler
from django.db import DatabaseError, InterfaceError, connection, transaction
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from processes import wait_if_held

from project.shop.actions import read
from project.shop.models import Product


class Regret(Exception):
    """What was written is not wanted any more."""


class Seen(NamedTuple):
    """What the writer itself has seen inside of its transaction."""

    is_own: bool
    """Whether it has read what it had written."""
    is_other_cached: bool
    """Whether a table that it had not written was still answered from the cache."""


@contextmanager
def by_hand() -> Iterator[None]:
    transaction.set_autocommit(False)
    try:
        yield
        connection.commit()
    except BaseException:
        connection.rollback()
        raise
    finally:
        if connection.connection is not None:
            transaction.set_autocommit(True)


@contextmanager
def nested(**options: Any) -> Iterator[None]:
    with transaction.atomic(), transaction.atomic(**options):
        yield


WAYS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "autocommit": nullcontext,
    "atomic": transaction.atomic,
    "nested": nested,
    "nested without a savepoint": lambda: nested(savepoint=False),
    "durable": lambda: transaction.atomic(durable=True),
    "by hand": by_hand,
    "a request": nullcontext,
}
"""How a transaction begins. That of a request is Django's own, of ``ATOMIC_REQUESTS``."""

ENDS = ["commit", "exception", "rollback", "lost connection"]


def is_committed(way: str, end: str) -> bool:
    """Tell whether what is written is there in the end."""
    return end == "commit" or way == "autocommit"


def use_isolation(level: str) -> None:
    """Have the transactions of this process isolated so from now on; of SQLite's, which always are, see `LEVELS`."""
    connection.close()
    option, levels = _OPTIONS[connection.vendor]
    connection.settings_dict["OPTIONS"][option] = levels[LEVELS.index(level)]


LEVELS = ["read committed", "repeatable read"]

_OPTIONS: dict[str, tuple[str, list[Any]]] = {
    # As psycopg counts them.
    "postgresql": ("isolation_level", [2, 3]),
    "mysql": ("isolation_level", LEVELS),
    # Its write lock is taken at the first write, or when a transaction begins.
    "sqlite": ("transaction_mode", ["DEFERRED", "IMMEDIATE"]),
}


def change(way: str, end: str, pk: int, name: str) -> Seen:
    """Rename a product, by one way and to one end."""
    if way == "a request":
        return _change_in_request(end, pk, name)
    with suppress(Regret, DatabaseError, InterfaceError), WAYS[way]():
        seen = _write(pk, name)
        _end(end)
    return seen


def _change_in_request(end: str, pk: int, name: str) -> Seen:
    found: list[Seen] = []

    def view(request: HttpRequest) -> HttpResponse:
        found.append(_write(pk, name))
        _end(end)
        return HttpResponse()

    connection.settings_dict["ATOMIC_REQUESTS"] = True
    try:
        with suppress(Regret, DatabaseError, InterfaceError):
            BaseHandler().make_view_atomic(view)(RequestFactory().get("/"))
    finally:
        connection.settings_dict["ATOMIC_REQUESTS"] = False
    return found[0]


def _write(pk: int, name: str) -> Seen:
    product = Product.objects.nocache().get(pk=pk)  # type: ignore[attr-defined]
    product.name = name
    product.save()
    [(_, own, category, _)] = read("get", 0, pk).value
    seen = Seen(own == name, read("tagged", category, pk).is_hit)
    wait_if_held(("after", "write"))
    return seen


def _end(end: str) -> None:
    if end == "exception":
        raise Regret
    if end == "lost connection":
        connection.close()
    if end == "rollback":
        if connection.in_atomic_block:
            transaction.set_rollback(True)
        elif not connection.autocommit:
            connection.rollback()
