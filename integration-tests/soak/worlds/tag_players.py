"""How tags are given to products and asked for; row ``n`` has the primary key ``n + 1``, and so has place ``n``.

A change of tags leaves no version in the database. The writer counts them, so each row has one writer.
"""

import random
from collections.abc import Callable
from typing import Any

from django.db import OperationalError, transaction
from project.shop.models import Product, Tag

from cacheops_django.signals import cache_read
from soak.judge import Check
from soak.ledger import View
from soak.players import Conflict, GiveUp, Player
from soak.worlds import readers, tags
from soak.worlds.shop_writers import is_conflict

Tagged = Product.tags.through


class Writer:
    """Gives its own products other tags."""

    def __init__(self, player: Player) -> None:
        plan = player.part.plan
        self.player, self.number, self.ledger = player, player.part.number, player.part.ledger
        self.random = random.Random(f"{plan.seed} writer {self.number}")
        places = tags.places_in_database()
        self.own = {row: places[row] for row in range(self.ledger.rows)[self.number :: plan.writers]}

    def write(self) -> None:
        """Give one product another tag."""
        ways = self.player.scenario.writes
        way = self.random.choices(list(ways), list(ways.values()))[0]
        row = self.random.choice(list(self.own))
        version, place = self.ledger.version(row) + 1, self.random.randrange(self.ledger.places)
        self.ledger.begin(row, version)
        try:
            WAYS[way](Product(pk=row + 1), Tag(pk=self.own[row] + 1), Tag(pk=place + 1))
        except GiveUp:
            place = self.own[row]
        except OperationalError as error:
            if is_conflict(error):
                raise Conflict from error
            raise
        self.own[row] = place
        self.ledger.publish(self.number, row, version, place)
        self.player.counts.add("writes")
        self.player.counts.add(way)


def _set(product: Product, old: Tag, new: Tag) -> None:
    product.tags.set([new])


def _remove_and_add(product: Product, old: Tag, new: Tag) -> None:
    with transaction.atomic():
        product.tags.remove(old)
        product.tags.add(new)


def _from_the_other_side(product: Product, old: Tag, new: Tag) -> None:
    with transaction.atomic():
        old.products.remove(product)
        new.products.add(product)


def _by_the_table_between(product: Product, old: Tag, new: Tag) -> None:
    with transaction.atomic():
        Tagged.objects.filter(product=product).delete()
        Tagged.objects.create(product=product, tag=new)


def _clear_and_roll_back(product: Product, old: Tag, new: Tag) -> None:
    with transaction.atomic():
        product.tags.clear()
        product.tags.add(new)
        raise GiveUp


WAYS: dict[str, Callable[[Product, Tag, Tag], None]] = {
    "set": _set,
    "remove and add": _remove_and_add,
    "from the other side": _from_the_other_side,
    "by the table between": _by_the_table_between,
    "clear and roll back": _clear_and_roll_back,
}
"""Ways of giving a product another tag."""


class Reader(readers.Reader):
    """Asks from either side."""

    def __init__(self, player: Player) -> None:
        super().__init__(player)
        cache_read.connect(self._note_read)

    def _note_read(self, hit: bool, **kwargs: Any) -> None:
        self.note(hit)

    def view_of_database(self) -> View:
        return tags.view_of_database()

    def tagged(self, place: int) -> Check:
        found = [product.pk - 1 for product in Product.objects.filter(tags=place + 1)]
        return lambda view: view.members(place, found)

    def products_of_tag(self, place: int) -> Check:
        found = [product.pk - 1 for product in Tag(pk=place + 1).products.all()]
        return lambda view: view.members(place, found)

    def prefetched(self, place: int) -> Check:
        (tag,) = Tag.objects.filter(pk=place + 1).prefetch_related("products")
        found = [product.pk - 1 for product in tag.products.all()]
        return lambda view: view.members(place, found)

    def count(self, place: int) -> Check:
        number = Product.objects.filter(tags=place + 1).count()
        return lambda view: view.count(place, number)

    def tags_of_product(self, row: int) -> Check:
        found = [tag.pk - 1 for tag in Product(pk=row + 1).tags.all()]
        return lambda view: view.places(row, found)

    def by_subquery(self, row: int) -> Check:
        between = Tagged.objects.filter(product=row + 1).values("tag")
        found = [tag.pk - 1 for tag in Tag.objects.filter(pk__in=between)]
        return lambda view: view.places(row, found)

    ways = {
        "tagged": ("place", tagged),
        "products of tag": ("place", products_of_tag),
        "prefetched": ("place", prefetched),
        "count": ("place", count),
        "tags of product": ("row", tags_of_product),
        "by subquery": ("row", by_subquery),
    }
