"""What is asked about products and their categories; row ``n`` of the ledger has the primary key ``n + 1``."""

from collections.abc import Callable
from functools import cache
from typing import Any

from django.db import transaction
from django.db.models import QuerySet, Sum
from project.shop.models import Product

from cacheops_django.functions import cached_as
from cacheops_django.signals import cache_read
from soak.judge import Check
from soak.ledger import View
from soak.players import Player
from soak.worlds import readers, shop


class Reader(readers.Reader):
    """Asks Django for rows, lists and sums, and functions that do so."""

    def __init__(self, player: Player) -> None:
        super().__init__(player)
        cache_read.connect(self._note_read)

    def _note_read(self, hit: bool, **kwargs: Any) -> None:
        self.note(hit)

    def view_of_database(self) -> View:
        return shop.view_of_database()

    def get(self, row: int) -> Check:
        return _row(Product.objects.get(pk=row + 1))

    def listing(self, place: int) -> Check:
        found = _versions(_products(place))
        return lambda view: view.listing(place, found)

    def count(self, place: int) -> Check:
        number = _products(place).count()
        return lambda view: view.count(place, number)

    def exists(self, place: int) -> Check:
        answer = _products(place).exists()
        return lambda view: view.exists(place, answer)

    def aggregate(self, place: int) -> Check:
        total = int(_products(place).aggregate(total=Sum("version"))["total"] or 0)
        return lambda view: view.total(place, total)

    def joined(self, place: int) -> Check:
        title = f"category {place}"
        found = _versions(Product.objects.filter(category__title=title).select_related("category"))
        return lambda view: view.listing(place, found)

    def function(self, place: int) -> Check:
        found = list_of(place)()
        return lambda view: view.listing(place, found)

    def function_of_all(self, place: int) -> Check:
        total = total_of(place)
        return lambda view: view.total(place, total)

    def in_transaction(self, place: int) -> Check:
        """Ask several things in one transaction, which may see the database as of its beginning."""
        with transaction.atomic():
            found = _versions(_products(place))
            others = [self.get(row) for row in list(found)[:2]]
            again = self.listing(self.choose("place"))
        checks = [lambda view: view.listing(place, found), *others, again]
        return lambda view: next(filter(None, (check(view) for check in checks)), None)

    ways = {
        "get": ("row", get),
        "list": ("place", listing),
        "count": ("place", count),
        "exists": ("place", exists),
        "aggregate": ("place", aggregate),
        "joined": ("place", joined),
        "function": ("place", function),
        "function of all": ("place", function_of_all),
        "in a transaction": ("place", in_transaction),
    }


def _products(place: int) -> QuerySet[Product]:
    return Product.objects.filter(category=place + 1)


def _versions(products: QuerySet[Product]) -> dict[int, int]:
    return {product.pk - 1: product.version for product in products}


def _row(product: Product) -> Check:
    row, version, place = product.pk - 1, product.version, product.category_id - 1
    return lambda view: view.row(row, version, place)


@cache
def list_of(place: int) -> Callable[[], dict[int, int]]:
    """Return a function that lists a category, and is kept until a product in it changes."""

    @cached_as(_products(place), extra=place)
    def listed() -> dict[int, int]:
        return _versions(_products(place).nocache())  # type: ignore[attr-defined]

    return listed


@cached_as(Product, lock=True)
def total_of(place: int) -> int:
    """Return the sum of the versions in a category; kept until any product changes."""
    products = _products(place).nocache()  # type: ignore[attr-defined]
    return int(products.aggregate(total=Sum("version"))["total"] or 0)
