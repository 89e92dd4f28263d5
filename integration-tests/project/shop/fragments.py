"""Pages of the shop as Jinja2 makes them, sync and async, for processes of the project to render."""

import asyncio
from functools import cache
from typing import Any, NamedTuple

from asgiref.sync import async_to_sync, sync_to_async
from django.db import connection, transaction
from django.template import engines
from django.template.backends.jinja2 import Jinja2
from jinja2 import DictLoader, Environment

from cacheops_filecache import FileCache
from project.shop.models import Book, Category, Product

PAGES = {
    "queryset": "{% cached_as products %}{{ drawn() }}{% for p in products %}{{ p.name }} v{{ p.version }}, "
    "{% endfor %}{% endcached_as %}",
    "model": "{% cached_as Product, timeout=60 %}{{ drawn() }}{{ versions() }}{% endcached_as %}",
    "instance": "{% cached_as product, Category, extra=1 %}{{ drawn() }}{{ versions() }}{% endcached_as %}",
    "time": "{% cached timeout=60, extra=category %}{{ drawn() }}{{ versions() }}{% endcached %}",
}
"""A page for each kind of sample; what the cache of querysets says is not asked, so that texts alone are kept."""

UNUSUAL = 918273
"""A version that no other number on a page looks like."""


class Page(NamedTuple):
    """What a page says, and whether it was drawn for it."""

    text: str
    is_drawn: bool


@cache
def environment(is_async: bool) -> Environment:
    """Return an environment as a project has it."""
    if is_async:
        loader = DictLoader(PAGES)
        return Environment(
            loader=loader, extensions=["cacheops.jinja2.cache"], enable_async=True, autoescape=True
        )
    options = {"loader": DictLoader(PAGES), "extensions": ["cacheops.jinja2.cache"]}
    backend = Jinja2({"NAME": "jinja2", "DIRS": [], "APP_DIRS": False, "OPTIONS": options})
    assert "jinja2" not in engines.templates
    return backend.env  # type: ignore[no-any-return]  # Django has no types


def context(category: int, pk: int, is_async: bool, drawn: list[int]) -> dict[str, Any]:
    """Return what a page is rendered with."""

    def versions() -> str:
        return str(list(Product.objects.order_by("pk").nocache().values_list("name", "version")))  # type: ignore[attr-defined]

    return {
        "products": Product.objects.filter(category=category).order_by("pk").nocache(),  # type: ignore[attr-defined]
        "product": Product(pk=pk),
        "Product": Product,
        "Category": Category,
        "category": category,
        "versions": sync_to_async(versions) if is_async else versions,
        "drawn": lambda: drawn.append(1) or "",  # type: ignore[func-returns-value]
    }


def render(page: str, category: int, pk: int, is_async: bool = False) -> Page:
    """Render a page, on an event loop of its own if it is async."""
    drawn: list[int] = []
    template = environment(is_async).get_template(page)
    given = context(category, pk, is_async, drawn)
    text = async_to_sync(template.render_async)(given) if is_async else template.render(given)
    return Page(text, bool(drawn))


def truth(page: str, category: int, pk: int) -> str:
    """Return what a page would say without a cache."""
    bare = environment(is_async=False).overlay()
    bare.cacheops = Nothing()  # type: ignore[attr-defined]
    return bare.from_string(PAGES[page]).render(context(category, pk, False, []))


class Nothing:
    """A cache that keeps nothing."""

    def dependencies_of(self, *samples: Any) -> None:
        """Nothing is known of samples."""

    def get_or_compute(self, key: str, dependencies: Any, compute: Any, *timeout: Any) -> Any:
        """Compute."""
        return compute()


def render_in_transaction(page: str, category: int, pk: int, is_async: bool) -> list[Page]:
    """Render a page before and after a change that is rolled back, and when it is."""
    pages = [render(page, category, pk, is_async)]
    with transaction.atomic():
        product = Product.objects.get(pk=pk)
        product.version = UNUSUAL
        product.save()
        pages.append(render(page, category, pk, is_async))
        transaction.set_rollback(True)
    assert not connection.in_atomic_block
    return [*pages, render(page, category, pk, is_async)]


def render_with_files(folder: str, is_async: bool) -> list[str]:
    """Render a page twice whose texts are kept in files, and say what that cache makes of cached_as."""
    made = environment(is_async).overlay()
    made.cacheops = FileCache(folder)  # type: ignore[attr-defined]
    drawn: list[int] = []
    template = made.from_string("{% cached extra=1 %}{{ drawn.append(1) or drawn|length }}{% endcached %}")
    texts = [template.render(drawn=drawn) for _ in range(2)]
    try:
        made.from_string("{% cached_as Book %}{% endcached_as %}").render(Book=Book)
    except ValueError as error:
        texts.append(str(error))
    return texts


def render_together(page: str, category: int, pk: int) -> list[str]:
    """Render an async page many times at once."""
    template = environment(is_async=True).get_template(page)

    async def all_of_them() -> list[str]:
        return await asyncio.gather(
            *(template.render_async(context(category, pk, True, [])) for _ in range(20))
        )

    return async_to_sync(all_of_them)()
