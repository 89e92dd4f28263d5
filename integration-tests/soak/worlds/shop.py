"""Products that move between categories: the place of a row is its category. By Django, sync."""

from typing import Any

from processes import Environment, create_tables, set_up

from soak.ledger import View


def begin(environ: Environment) -> None:
    """Make this process one of the project."""
    global Reader, Writer
    set_up(environ)
    # Models can be imported from here on.
    from soak.worlds.shop_readers import Reader
    from soak.worlds.shop_writers import Writer


def caches() -> list[Any]:
    from cacheops_django import caches

    return [caches.current()]


def fill(rows: int, places: int) -> list[int]:
    """Make the products, and return the category of each, counted from 0."""
    from project.shop.models import Category, Product

    create_tables()
    Category.objects.bulk_create(Category(pk=n + 1, title=f"category {n}") for n in range(places))
    made = [Product(pk=n + 1, name=f"product {n}", category_id=n % places + 1) for n in range(rows)]
    Product.objects.bulk_create(made)
    return [product.category_id - 1 for product in made]


def view_of_database() -> View:
    """Return what holds when nobody writes."""
    from project.shop.models import Product

    rows = Product.objects.nocache().order_by("pk")
    return View.of_database((product.version, product.category_id - 1) for product in rows)
