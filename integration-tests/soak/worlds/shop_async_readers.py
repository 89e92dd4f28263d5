"""What coroutines ask about products and their categories."""

from typing import Any

from django.db.models import QuerySet, Sum
from project.shop.models import Product

from cacheops_django.functions import cached_as
from cacheops_django.signals import cache_read
from soak.judge import Check
from soak.ledger import View
from soak.players import Player
from soak.worlds import readers, shop


class Reader(readers.AsyncReader):
    """Asks Django by its async methods."""

    def __init__(self, player: Player) -> None:
        super().__init__(player)
        cache_read.connect(self._note_read)

    def _note_read(self, hit: bool, **kwargs: Any) -> None:
        self.note(hit)

    def view_of_database(self) -> View:
        return shop.view_of_database()

    async def get(self, row: int) -> Check:
        product = await Product.objects.aget(pk=row + 1)
        version, place = product.version, product.category_id - 1
        return lambda view: view.row(row, version, place)

    async def listing(self, place: int) -> Check:
        found = {product.pk - 1: product.version async for product in _products(place)}
        return lambda view: view.listing(place, found)

    async def count(self, place: int) -> Check:
        number = await _products(place).acount()
        return lambda view: view.count(place, number)

    async def exists(self, place: int) -> Check:
        answer = await _products(place).aexists()
        return lambda view: view.exists(place, answer)

    async def aggregate(self, place: int) -> Check:
        total = int((await _products(place).aaggregate(total=Sum("version")))["total"] or 0)
        return lambda view: view.total(place, total)

    async def function(self, place: int) -> Check:
        total = await total_of(place)
        return lambda view: view.total(place, total)

    ways = {
        "get": ("row", get),
        "list": ("place", listing),
        "count": ("place", count),
        "exists": ("place", exists),
        "aggregate": ("place", aggregate),
        "function of all": ("place", function),
    }


def _products(place: int) -> QuerySet[Product]:
    return Product.objects.filter(category=place + 1)


@cached_as(Product)
async def total_of(place: int) -> int:
    """Return the sum of the versions in a category; kept until any product changes."""
    products = _products(place).nocache()  # type: ignore[attr-defined]
    return int((await products.aaggregate(total=Sum("version")))["total"] or 0)
