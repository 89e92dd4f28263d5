"""The reads: each returns what is called, again and again, and what it returned is compared with no cache's answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count, repeat
from random import randrange
from typing import Any

import redis
from django.conf import settings
from django.db.models import Avg, QuerySet, Sum
from django.template import Context, Engine
from jinja2 import Environment

from .shop.models import Product
from .tools import NotSupportedError, needed, tools

SMALL, LARGE = 7, 8
"""Categories with 20 and with 100 products."""

ROW_KEY = 7
"""The primary key of a product."""


class Action:
    """What is measured: a call with each of some arguments, which are made before the clock runs."""

    def __init__(self, call: Callable[[Any], Any]) -> None:
        self.call = call

    def arguments(self, calls: int) -> Iterable[Any]:
        """Return the argument of each of so many calls."""
        return repeat(None, calls)

    def answer(self) -> Any:
        """Return what is the same for whoever is right."""
        return self.call(None)

    def finish(self) -> None:
        """Do what belongs to the calls and is not measured."""


def products(category: int = SMALL) -> QuerySet[Product]:
    return Product.objects.filter(category=category).order_by("name")


def floor() -> Action:
    """Return what every hit that asks a server costs at least: the client's own reading of three keys."""
    if settings.CONTENDER != "none":
        raise NotSupportedError
    client = redis.Redis.from_url(settings.REDIS)
    keys = ["floor:entry", "floor:generation", "floor:stamp"]
    client.mset(dict(zip(keys, (b"e" * 400, b"g" * 12, b"s" * 24), strict=True)))
    return Action(lambda _: client.mget(keys))


def get() -> Action:
    return Action(lambda _: Product.objects.get(pk=ROW_KEY))


def fk() -> Action:
    product = Product.objects.get(pk=ROW_KEY)
    fetched = product._state.fields_cache

    def call(_: Any) -> Any:
        fetched.clear()
        return product.category

    return Action(call)


def fetch20() -> Action:
    return Action(lambda _: list(products()))


def fetch100() -> Action:
    return Action(lambda _: list(products(LARGE)))


def join() -> Action:
    return Action(lambda _: list(products().select_related("category")))


def prefetch() -> Action:
    return Action(lambda _: list(products().prefetch_related("tags")))


def values_list() -> Action:
    return Action(lambda _: list(products().values_list("pk", "name", "price")))


def count_() -> Action:
    return Action(lambda _: products().count())


def exists() -> Action:
    return Action(lambda _: products().exists())


def aggregate() -> Action:
    return Action(lambda _: products().aggregate(Sum("stock"), Avg("price")))


def menu(category: int) -> list[dict[str, Any]]:
    """Return what a function would: computed from some rows."""
    return [{"name": product.name, "price": str(product.price)} for product in products(category)]


def cached_as() -> Action:
    if settings.CONTENDER == "none":
        return Action(lambda _: menu(SMALL))
    kept = needed(tools().cached_as)(Product.objects.filter(category=SMALL), timeout=600)(menu)
    return Action(lambda _: kept(SMALL))


def cached() -> Action:
    if settings.CONTENDER == "none":
        return Action(lambda _: menu(SMALL))
    kept = needed(tools().cached)(timeout=600)(menu)
    return Action(lambda _: kept(SMALL))


def template() -> Action:
    body = "{% for product in products %}<p>{{ product.name }}: {{ product.price }}</p>{% endfor %}"
    if settings.CONTENDER == "none":
        compiled = Engine().from_string(body)
    else:
        needed(tools().extension)
        engine = Engine(libraries={"cacheops": _library()})
        head = "{% load cacheops %}{% cached_as products 600 'products' category %}"
        compiled = engine.from_string(head + body + "{% endcached_as %}")
    return Action(lambda _: compiled.render(Context({"products": products(), "category": SMALL})))


def _library() -> str:
    from django.template.backends.django import get_installed_libraries

    return str(get_installed_libraries()["cacheops"])


def jinja() -> Action:
    body = "{% for product in products() %}<p>{{ product.name }}: {{ product.price }}</p>{% endfor %}"
    if settings.CONTENDER == "none":
        compiled = Environment(autoescape=True).from_string(body)
    else:
        environment = Environment(autoescape=True, extensions=[needed(tools().extension)])
        head = "{% cached_as products(), timeout=600, extra=category %}"
        compiled = environment.from_string(head + body + "{% endcached_as %}")
    return Action(lambda _: compiled.render(products=products, category=SMALL))


class Misses(Action):
    """What nobody has asked for before, each time."""

    def __init__(self, call: Callable[[Any], Any]) -> None:
        super().__init__(call)
        # Another process of the same site begins somewhere else.
        self._numbers = count(randrange(1, 2**30))

    def arguments(self, calls: int) -> Iterable[Any]:
        return [next(self._numbers) for _ in range(calls)]

    def answer(self) -> Any:
        return self.call(0)


def miss() -> Action:
    return Misses(lambda number: list(products().filter(stock__gt=-1 - number)))


def miss_get() -> Action:
    # No such product: what the database does is the same for all numbers, however many there are.
    return Misses(lambda number: list(Product.objects.filter(pk=2**32 + number)))


def shown(value: Any) -> Any:
    """Return an answer as what can be compared: the values of objects, with those that came with them."""
    if isinstance(value, list | tuple):
        return [shown(item) for item in value]
    if not hasattr(value, "_meta"):
        return f"{type(value).__name__} {value!r}"
    related = dict(value._state.fields_cache)
    related |= {name: list(found) for name, found in getattr(value, "_prefetched_objects_cache", {}).items()}
    own = {field.attname: repr(getattr(value, field.attname)) for field in value._meta.concrete_fields}
    return type(value).__name__, own, {name: shown(found) for name, found in related.items()}


READS = {
    **{
        action.__name__: action for action in (floor, get, fk, fetch20, fetch100, join, prefetch, values_list)
    },
    **{action.__name__: action for action in (exists, aggregate, cached_as, cached, template, jinja)},
    "count": count_,
    "miss": miss,
    "miss_get": miss_get,
}
