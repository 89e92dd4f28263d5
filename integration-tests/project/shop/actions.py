"""What tests tell a process of the project to do. Arguments and results travel between processes."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, NamedTuple

from asgiref.sync import sync_to_async
from django.db import connection, connections, transaction
from django.db.models import Max, QuerySet
from django.test import override_settings

from cacheops_core.testing import count_round_trips
from cacheops_django import async_caches, caches
from cacheops_django.signals import cache_read
from project.shop.models import Book, Category, Product, Tag


class Answer(NamedTuple):
    """What a read gave, and whether the cache gave it."""

    value: Any
    is_hit: bool


def products(category: int) -> QuerySet[Product]:
    return Product.objects.filter(category=category).order_by("pk")


def _rows(found: QuerySet[Product]) -> list[tuple[Any, ...]]:
    return [(product.pk, product.name, product.category_id, product.version) for product in found]


READS: dict[str, Callable[[int, int], Any]] = {
    "get": lambda category, pk: _rows([Product.objects.get(pk=pk)]),  # type: ignore[arg-type]
    "list": lambda category, pk: _rows(products(category)),
    "values": lambda category, pk: list(products(category).values_list("name", flat=True)),
    "joined": lambda category, pk: list(products(category).values_list("name", "category__title")),
    "count": lambda category, pk: products(category).count(),
    "exists": lambda category, pk: products(category).filter(pk=pk).exists(),
    "aggregate": lambda category, pk: products(category).aggregate(newest=Max("version")),
    "tagged": lambda category, pk: list(Tag.objects.filter(products=pk).values_list("name", flat=True)),
}
"""One read for each op that is cached, of a category or of one product of it."""


def make_shop(categories: int = 3, size: int = 2) -> tuple[list[int], list[int]]:
    """Make categories with products in them, and return the keys of both."""
    made = [Category.objects.create(title=f"category {n}") for n in range(categories)]
    tag = Tag.objects.create(name="new")
    rows = [Product.objects.create(name=f"{c.title}, {n}", category=c) for c in made for n in range(size)]
    for row in rows:
        row.tags.add(tag)
    return [category.pk for category in made], [row.pk for row in rows]


def read(op: str, category: int, pk: int) -> Answer:
    """Ask by the cache."""
    hits = []

    def note(hit: bool, **kwargs: Any) -> None:
        hits.append(hit)

    cache_read.connect(note)
    try:
        return Answer(READS[op](category, pk), all(hits))
    finally:
        cache_read.disconnect(note)


def read_on_event_loop(pk: int) -> list[bool]:
    """Ask for a product twice on an event loop, and return whether each answer came without a thread."""

    async def ask() -> list[bool]:
        cache = caches.current()
        assert await async_caches.twin(cache) is not None, "threads are asked in its place"
        asked = []
        for _ in range(2):
            with count_round_trips(cache.driver.client) as trips:
                await Product.objects.aget(pk=pk)
            asked.append(trips.count == 0)
        await sync_to_async(connections.close_all)()
        return asked

    return asyncio.run(ask())


def read_all(categories: list[int], pk: int, ops: Iterable[str] = tuple(READS)) -> list[Any]:
    """Ask everything that is cached."""
    return [READS[op](category, pk) for op in ops for category in categories]


def truth(op: str, category: int, pk: int) -> Any:
    """Ask the database."""
    with override_settings(CACHEOPS_ENABLED=False):
        return READS[op](category, pk)


def all_truth(categories: list[int], pk: int, ops: Iterable[str] = tuple(READS)) -> list[Any]:
    """Ask the database everything that is cached."""
    return [truth(op, category, pk) for op in ops for category in categories]


def move(pk: int, category: int) -> None:
    """Load a product, put it into a category and save it."""
    product = Product.objects.nocache().get(pk=pk)
    _save(product, category)


def _save(product: Product, category: int) -> None:
    product.category_id = category
    product.version += 1
    product.save()


def retag(pk: int, category: int) -> None:
    """Give a product another tag in place of those it has."""
    Product.objects.nocache().get(pk=pk).tags.set([Tag.objects.create(name=f"tag for {category}")])


def untag(pk: int, category: int) -> None:
    """Take all tags from a product, from their side."""
    for tag in Tag.objects.nocache().filter(products=pk):
        tag.products.remove(pk)


def rename_category(pk: int, category: int) -> None:
    """Change what is only joined."""
    for row in Category.objects.nocache().filter(products=pk):
        row.title = "renamed"
        row.save()


def move_in_bulk(pk: int, category: int) -> None:
    rows = list(Product.objects.nocache().filter(pk=pk))
    for row in rows:
        row.category_id, row.version = category, row.version + 1
    Product.objects.bulk_update(rows, ["category", "version"])


def move_and_roll_back_another(pk: int, category: int) -> None:
    """Move a product in a transaction that takes back what it has done to another one."""
    with transaction.atomic():
        _save(Product.objects.nocache().get(pk=pk), category)
        try:
            with transaction.atomic():
                for other in Product.objects.nocache().exclude(pk=pk):
                    _save(other, category)
                raise LookupError
        except LookupError:
            pass


def add_in_bulk(pk: int, category: int) -> None:
    home = Product.objects.nocache().get(pk=pk).category_id
    Product.objects.bulk_create([Product(name="added", category_id=n, version=9) for n in (home, category)])


def delete(pk: int, category: int) -> None:
    """Delete all products of a product's category but itself."""
    home = Product.objects.nocache().get(pk=pk).category_id
    Product.objects.filter(category=home).exclude(pk=pk).delete()


def move_a_child(pk: int, category: int) -> None:
    """Add a row to the table of products through a model that inherits from it, and move it."""
    home = Product.objects.nocache().get(pk=pk).category_id
    book = Book.objects.create(name="book", category_id=home, isbn="1", version=5)
    book.category_id = category
    book.save()


def move_by_update(pk: int, category: int) -> None:
    Product.objects.filter(pk=pk).invalidated_update(category=category)


CHANGES: dict[str, Callable[[int, int], None]] = {
    "save": move,
    "set": retag,
    "remove": untag,
    "save of a joined row": rename_category,
    "bulk_update": move_in_bulk,
    "savepoint rollback": move_and_roll_back_another,
    "bulk_create": add_in_bulk,
    "delete": delete,
    "save of a child": move_a_child,
    "invalidated_update": move_by_update,
}
"""Ways of changing what is read of a product and its category; each takes a category to change it to."""


copies: dict[int, Product] = {}
blocks: list[transaction.Atomic] = []


def load(pk: int) -> None:
    """Load a product, and keep this copy in memory."""
    copies[pk] = Product.objects.nocache().get(pk=pk)


def save_copy(pk: int, category: int) -> None:
    """Save the copy in memory with another category, whatever has happened to the row since."""
    _save(copies[pk], category)


def begin() -> None:
    """Begin a transaction that outlives this call."""
    blocks.append(transaction.atomic())
    blocks[-1].__enter__()


def commit() -> None:
    """Commit the transaction that was begun."""
    blocks.pop().__exit__(None, None, None)


def someone_waits() -> bool:
    """Return whether a transaction waits for a lock; True where the database cannot tell."""
    sql = {
        "postgresql": "SELECT count(*) FROM pg_locks WHERE NOT granted",
        "mysql": "SELECT count(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'",
    }.get(connection.vendor)
    if sql is None:
        return True
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return bool(cursor.fetchone()[0])


def let_fences_live(seconds: float) -> None:
    """Shorten the time after which a writer counts as dead."""
    cache = caches.current()
    cache.options = replace(cache.options, fence_lifetime=seconds)


def count_trips(function: Callable[..., Any], *args: Any) -> list[tuple[str, ...]]:
    """Do something and return the commands that were sent to the cache's server, by round trip."""
    with count_round_trips(caches.current().driver.client) as trips:
        function(*args)
    return trips.sent


def save_all_in_one_transaction(pks: list[int]) -> None:
    with transaction.atomic():
        for product in list(Product.objects.nocache().filter(pk__in=pks)):
            product.version += 1
            product.save()


def create_in_bulk(category: int, number: int) -> None:
    Product.objects.bulk_create(Product(name=f"bulk {n}", category_id=category) for n in range(number))


def update_in_bulk(pks: list[int]) -> None:
    rows = list(Product.objects.nocache().filter(pk__in=pks))
    for row in rows:
        row.version += 1
    Product.objects.bulk_update(rows, ["version"])


_logged: list[str] = []


class _Listener(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        _logged.append(record.getMessage())


def take_log() -> list[str]:
    """Return what the cache has logged since the last call; the first one begins to listen."""
    logger = logging.getLogger("cacheops")
    if not any(isinstance(handler, _Listener) for handler in logger.handlers):
        logger.addHandler(_Listener())
    taken = _logged[:]
    _logged.clear()
    return taken
