"""What a reader does, again and again: asks something that is cached, and checks it against the ledger."""

import os
import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from django.db.models import Sum
from project.shop.models import Product

from cacheops_core import flows
from cacheops_core.cache import Cache, Lookup
from cacheops_core.stamps import NONCE
from cacheops_django import caches
from cacheops_django.signals import cache_read
from stress.ledger import Ledger, View

EXAMPLES = 5
"""Stale reads that are kept to be told, of all that are counted."""


class Reader:
    """Reads what is popular more often than the rest, as visitors of a shop do."""

    def __init__(self, ledger: Ledger, number: int) -> None:
        self.ledger = ledger
        self.random = random.Random(f"reader {number}")
        self.done: Counter[str] = Counter()
        self.hits = self.misses = self.stale = 0
        self.examples: list[str] = []
        self._popularity = {
            n: [(rank + 1) ** -1.5 for rank in range(n)] for n in (ledger.rows, ledger.categories)
        }
        cache_read.connect(self._note)

    def read(self) -> None:
        """Do one of the things."""
        how = self.random.choice(list(WAYS))
        before = self.ledger.look()
        wrong = WAYS[how](self, before)
        self.done[how] += 1
        if wrong:
            self.stale += 1
            self.examples += [wrong][: EXAMPLES - len(self.examples)]

    def _note(self, hit: bool, **kwargs: Any) -> None:
        self.hits += hit
        self.misses += not hit

    def _choose(self, number: int) -> int:
        return self.random.choices(range(number), self._popularity[number])[0]

    # The ways

    def get(self, before: View) -> str | None:
        row = self._choose(self.ledger.rows)
        product = Product.objects.get(pk=row + 1)
        return before.row(row, product.version, product.category_id - 1)

    def listing(self, before: View) -> str | None:
        category = self._choose(self.ledger.categories)
        found = {p.pk - 1: p.version for p in Product.objects.filter(category=category + 1)}
        return before.listing(category, found)

    def count(self, before: View) -> str | None:
        category = self._choose(self.ledger.categories)
        return before.count(category, Product.objects.filter(category=category + 1).count())

    def exists(self, before: View) -> str | None:
        category = self._choose(self.ledger.categories)
        return before.exists(category, Product.objects.filter(category=category + 1).exists())

    def aggregate(self, before: View) -> str | None:
        category = self._choose(self.ledger.categories)
        total = Product.objects.filter(category=category + 1).aggregate(total=Sum("version"))["total"]
        return before.total(category, int(total or 0))


WAYS: dict[str, Callable[[Reader, View], str | None]] = {
    "get": Reader.get,
    "list": Reader.listing,
    "count": Reader.count,
    "exists": Reader.exists,
    "aggregate": Reader.aggregate,
}


def dawdle(number: int) -> None:
    """Let the reader pause between its SELECT and its fill now and then, as a busy machine does."""
    fill, chance = caches.current().fill, random.Random(f"pause {number}")

    def slow_fill(lookup: Lookup, value: Any) -> bool:
        if chance.random() < 0.2:
            time.sleep(chance.random() * 0.02)
        return fill(lookup, value)

    caches.current().fill = slow_fill  # type: ignore[method-assign]


def acquire_late() -> None:
    """Sabotage: take the stamps after the SELECT, as if they could not have changed since the miss."""
    fill = Cache.fill

    def fill_under_new_stamps(cache: Cache, lookup: Lookup, value: Any) -> bool:
        flow = flows.acquire(lookup.stamps, 600_000, cache.options.max_schemes, os.urandom(NONCE))
        lookup.head = cache.driver.run(flow).head
        return fill(cache, lookup, value)

    Cache.fill = fill_under_new_stamps  # type: ignore[method-assign]
