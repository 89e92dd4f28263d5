"""What a writer does, again and again: moves products between categories in every way that Django has.

Of each row it writes, a writer holds the lock from the moment it reads the version until COMMIT, so that versions
grow in the order of commits.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterable

from django.db import OperationalError, transaction
from project.shop.models import Product

from cacheops_django import caches
from stress.ledger import Ledger


class GiveUp(Exception):
    """Raised by a writer to have its transaction, or a savepoint of it, rolled back."""


DEADLOCK = (1213, "40P01")
"""How MariaDB and PostgreSQL say that they have ended one of several transactions that waited for each other."""


def is_deadlock(error: OperationalError) -> bool:
    cause = error.__cause__
    return getattr(cause, "sqlstate", None) in DEADLOCK or error.args[:1] == DEADLOCK[:1]


class Writer:
    """Writes to rows of its own choice; row ``n`` of the ledger has the primary key ``n + 1``."""

    def __init__(self, ledger: Ledger, number: int, writers: int) -> None:
        self.ledger = ledger
        self.random = random.Random(f"writer {number}")
        self.done: Counter[str] = Counter()
        # Without an atomic block nothing keeps others from a row between reading and saving: these rows
        # are written by one writer only, from the copies that it keeps.
        self.own = {
            row: Product.objects.nocache().get(pk=row + 1) for row in range(ledger.rows // 2)[number::writers]
        }
        self.shared = range(ledger.rows // 2, ledger.rows)

    def write(self) -> None:
        """Do one of the things."""
        how = self.random.choices(list(WAYS), [weight for weight, _ in WAYS.values()])[0]
        try:
            WAYS[how][1](self)
        except GiveUp:
            how = "gave up"
        except OperationalError as error:
            if not is_deadlock(error):
                raise
            how = "deadlock"
        self.done[how] += 1

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

    def bulk(self) -> None:
        with transaction.atomic():
            changed = [self._move(product) for product in self._locked(8)]
            Product.objects.bulk_update(changed, ["category", "version"])
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
        reach = max(1, self.ledger.categories // 5) if is_popular else self.ledger.categories
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
            self.ledger.publish(product.pk - 1, product.version, product.category_id - 1)


WAYS: dict[str, tuple[int, Callable[[Writer], None]]] = {
    "save": (6, Writer.save),
    "save in a block": (6, Writer.save_in_block),
    "several saves": (2, Writer.save_several),
    "bulk_update": (2, Writer.bulk),
    "delete and create": (2, Writer.replace),
    "rollback": (2, Writer.roll_back),
    "savepoint rollback": (2, Writer.roll_back_savepoint),
}
"""What a writer does, and how often compared with the rest."""


def invalidate_nothing() -> None:
    """Sabotage: let the writes of this process be none of the cache's business."""
    cache = caches.current()
    cache.fence = cache.release = lambda unit: None  # type: ignore[method-assign]
