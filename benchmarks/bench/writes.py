"""The writes, and invalidation by hand: after them whoever is asked must know."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

from django.db import connection, transaction

from .reads import Action, products
from .shop.models import OTHERS, SIZES, Product, new_product
from .tools import needed, tools

CATEGORY = 9
"""The category of the products that are written."""

CROWDED = 5
"""The category that many entries depend on."""


def warm() -> None:
    """Ask what a site would have asked, so that writes have something to drop and know what matters."""
    for category in (CATEGORY, CROWDED):
        list(products(category)[:20])
        products(category).count()
    _one()


def _one() -> Product:
    return Product.objects.get(pk=_first())


def _first() -> int:
    return sum(size for category, size in SIZES.items() if category in (7, 8)) + 1


class Write(Action):
    """A write, before which there are entries that depend on it."""

    def __init__(self, call: Callable[[Any], Any], arguments: Callable[[int], Iterable[Any]]) -> None:
        super().__init__(call)
        self._arguments = arguments

    def arguments(self, calls: int) -> Iterable[Any]:
        found = list(self._arguments(calls))
        warm()
        return found

    def answer(self) -> Any:
        """Compare what is told with what the database holds, which must be the same right after a write."""
        for argument in self.arguments(2):
            self.call(argument)
        told = _one().stock, products(CATEGORY).count()
        held = _ask(f"SELECT stock FROM shop_product WHERE id = {_first()}"), _count()
        self.finish()
        return "right" if told == held else f"told {told}, but the database holds {held}"

    def finish(self) -> None:
        """Remove what has been made; nobody is told, and the next writes drop what depends on it."""
        if _count() != SIZES[CATEGORY]:
            with connection.cursor() as cursor:
                cursor.execute(f"DELETE FROM shop_product WHERE id > {_last()}")


def _last() -> int:
    return sum(SIZES.values()) + OTHERS


def _count() -> int:
    return int(_ask(f"SELECT count(*) FROM shop_product WHERE category_id = {CATEGORY}"))


def _ask(sql: str) -> Any:
    # Past every cache.
    with connection.cursor() as cursor:
        return cursor.cursor.execute(sql).fetchone()[0]


def save() -> Action:
    product, stocks = _one(), count(1)

    def call(stock: int) -> None:
        product.stock = stock
        product.save()

    return Write(call, lambda calls: [next(stocks) for _ in range(calls)])


def delete() -> Action:
    return Write(lambda product: product.delete(), _made)


def _made(calls: int) -> list[Product]:
    return Product.objects.bulk_create(new_product(number, CATEGORY) for number in range(calls))


def bulk_create() -> Action:
    return Write(
        Product.objects.bulk_create,
        lambda calls: [[new_product(number, CATEGORY) for number in range(1000)] for _ in range(calls)],
    )


def saves() -> Action:
    found, stocks = list(products(CATEGORY)[:200]), count(1)

    def call(stock: int) -> None:
        with transaction.atomic():
            for product in found:
                product.stock = stock
                product.save()

    return Write(call, lambda calls: [next(stocks) for _ in range(calls)])


def invalidate_obj() -> Action:
    product, invalidate = _one(), needed(tools().invalidate_obj)
    return Write(invalidate, lambda calls: [product] * calls)


def invalidate_model() -> Action:
    return Write(needed(tools().invalidate_model), lambda calls: [Product] * calls)


# With many dependents


def fill(start: int, stop: int) -> None:
    """Ask so many different questions whose answers depend on one category."""
    for number in range(start, stop):
        products(CROWDED).filter(stock__gt=-1 - number).exists()


def is_dropped() -> bool:
    """Tell whether what depends on the crowded category is asked of the database again."""
    asked: list[str] = []

    def watch(execute: Any, sql: Any, params: Any, many: Any, context: Any) -> Any:
        asked.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(watch):
        fill(1, 2)
    return bool(asked)


def crowded(name: str) -> Action:
    """Return a write that changes the crowded category, by the name of what it does."""
    product, stocks = products(CROWDED)[0], count(1)

    def saving(_: Any) -> None:
        product.stock = next(stocks)
        product.save()

    if name == "save":
        return Action(saving)
    tool = needed(getattr(tools(), name))
    return Action(lambda _: tool(Product if name == "invalidate_model" else product))


WRITES = {
    action.__name__: action for action in (save, delete, bulk_create, saves, invalidate_obj, invalidate_model)
}
