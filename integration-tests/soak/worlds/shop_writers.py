"""What a writer does, again and again: moves products between categories in every way that Django has.

Of each row it writes, a writer holds the lock from the moment it reads the version until COMMIT, so that versions
grow in the order of commits.
"""

import random
from collections.abc import Callable, Iterable

from django.db import OperationalError, transaction
from django.db.models import F
from project.shop.models import Product

from soak.ledger import Ledger
from soak.players import Conflict, GiveUp, Player

CONFLICTS = (1213, 1020, "40P01", "40001")
"""How MariaDB and PostgreSQL say that they have ended one of several transactions: a deadlock, or a row that
somebody else has changed since this transaction began."""


def is_conflict(error: OperationalError) -> bool:
    """Tell whether the database has ended a transaction for the sake of another."""
    return getattr(error.__cause__, "sqlstate", None) in CONFLICTS or error.args[:1] in [
        (n,) for n in CONFLICTS
    ]


class Writer:
    """Writes to rows of its own choice; row ``n`` of the ledger has the primary key ``n + 1``."""

    def __init__(self, player: Player) -> None:
        plan = player.part.plan
        self.player, self.number = player, player.part.number
        self.ledger: Ledger = player.part.ledger
        self.random = random.Random(f"{plan.seed} writer {self.number}")
        # Without an atomic block nothing keeps others from a row between reading and saving: these rows
        # are written by one writer only, from the copies that it keeps.
        self.own = {
            row: Product.objects.nocache().get(pk=row + 1)  # type: ignore[attr-defined]
            for row in range(self.ledger.rows // 2)[self.number :: plan.writers]
        }
        self.shared = range(self.ledger.rows // 2, self.ledger.rows)

    def write(self) -> None:
        """Do one of the things."""
        ways = self.player.scenario.writes
        way = self.random.choices(list(ways), list(ways.values()))[0]
        try:
            WAYS[way](self)
        except OperationalError as error:
            if is_conflict(error):
                raise Conflict from error
            raise
        self.player.counts.add("writes")
        self.player.counts.add(way)

    # The ways

    def save(self) -> None:
        """Outside of any transaction."""
        row = self.random.choice(list(self.own))
        self._publish([self._change(self.own[row])])

    def save_in_block(self) -> None:
        with transaction.atomic():
            changed = [self._change(product) for product in self._locked(1)]
        self._publish(changed)

    def save_several(self) -> None:
        with transaction.atomic():
            changed = [self._change(product) for product in self._locked(5)]
        self._publish(changed)

    def bulk_update(self) -> None:
        with transaction.atomic():
            changed = [self._move(product) for product in self._locked(8)]
            Product.objects.bulk_update(changed, ["category", "version"])
        self._publish(changed)

    def invalidated_update(self) -> None:
        """Move several rows to one category by a single statement, which alone knows their new versions."""
        with transaction.atomic():
            changed = [self._move(product) for product in self._locked(4)]
            category = changed[0].category_id
            found = Product.objects.filter(pk__in=[product.pk for product in changed])
            found.invalidated_update(category=category, version=F("version") + 1)  # type: ignore[attr-defined]
        for product in changed:
            product.category_id = category
        self._publish(changed)

    def replace(self) -> None:
        """Delete a row and insert it anew."""
        with transaction.atomic():
            (product,) = self._locked(1)
            new = Product(
                pk=product.pk, name=product.name, category_id=product.category_id, version=product.version
            )
            product.delete()
            self._change(new, force_insert=True)
        self._publish([new])

    def replace_in_bulk(self) -> None:
        """Delete rows and insert them anew, with one statement each."""
        with transaction.atomic():
            changed = [self._move(product) for product in self._locked(4)]
            Product.objects.filter(pk__in=[product.pk for product in changed]).delete()
            Product.objects.bulk_create(changed)
        self._publish(changed)

    def roll_back(self) -> None:
        try:
            with transaction.atomic():
                self._take_back([self._change(product) for product in self._locked(2)])
                raise GiveUp
        except GiveUp:
            pass

    def roll_back_savepoint(self) -> None:
        """Change a row, change another one and take that back, and commit."""
        with transaction.atomic():
            first, second = self._locked(2)
            self._change(first)
            try:
                with transaction.atomic():
                    self._take_back([self._change(second)])
                    raise GiveUp
            except GiveUp:
                pass
        self._publish([first])

    def nest_savepoints(self) -> None:
        """Change a row in a savepoint, take back another one in a savepoint of that, and commit."""
        with transaction.atomic():
            first, second, third = self._locked(3)
            self._change(first)
            with transaction.atomic():
                self._change(second)
                try:
                    with transaction.atomic():
                        self._take_back([self._change(third)])
                        raise GiveUp
                except GiveUp:
                    pass
        self._publish([first, second])

    # Their parts

    def _locked(self, number: int) -> list[Product]:
        # In one order for all writers, so that they do not wait for each other in a circle.
        wanted = [row + 1 for row in self.random.sample(self.shared, number)]
        found = list(Product.objects.select_for_update().filter(pk__in=wanted).order_by("pk"))
        if len(found) < number:
            # PostgreSQL waited for a row that somebody then deleted, and does not see the one made in its place.
            raise GiveUp
        return found

    def _move(self, product: Product) -> Product:
        # Some of them go to where the readers are.
        is_popular = self.random.random() < 0.2
        reach = max(1, self.ledger.places // 5) if is_popular else self.ledger.places
        product.category_id = self.random.randrange(reach) + 1
        product.version += 1
        self.ledger.begin(product.pk - 1, product.version)
        return product

    def _change(self, product: Product, force_insert: bool = False) -> Product:
        self._move(product).save(force_insert=force_insert)
        return product

    def _take_back(self, changed: Iterable[Product]) -> None:
        for product in changed:
            self.ledger.take_back(product.pk - 1, product.version)

    def _publish(self, changed: Iterable[Product]) -> None:
        for product in changed:
            self.ledger.publish(self.number, product.pk - 1, product.version, product.category_id - 1)


WAYS: dict[str, Callable[[Writer], None]] = {
    "save": Writer.save,
    "save in a block": Writer.save_in_block,
    "several saves": Writer.save_several,
    "bulk_update": Writer.bulk_update,
    "invalidated_update": Writer.invalidated_update,
    "delete and create": Writer.replace,
    "delete and create in bulk": Writer.replace_in_bulk,
    "rollback": Writer.roll_back,
    "savepoint rollback": Writer.roll_back_savepoint,
    "nested savepoints": Writer.nest_savepoints,
}
"""What a writer does."""
