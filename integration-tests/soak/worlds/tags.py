"""Products with one tag each, which changes: the place of a row is its tag. By Django's many-to-many, sync."""

from typing import Any

from processes import Environment, create_tables, set_up

from soak.ledger import View


def begin(environ: Environment) -> None:
    """Make this process one of the project."""
    global Reader, Writer
    set_up(environ)
    # Models can be imported from here on.
    from soak.worlds.tag_players import Reader, Writer


def caches() -> list[Any]:
    from cacheops_django import caches

    return [caches.current()]


def fill(rows: int, places: int) -> list[int]:
    """Make the products, and return the tag of each, counted from 0."""
    from project.shop.models import Category, Product, Tag

    create_tables()
    Category.objects.create(pk=1, title="all")
    Tag.objects.bulk_create(Tag(pk=n + 1, name=f"tag {n}") for n in range(places))
    Product.objects.bulk_create(Product(pk=n + 1, name=f"product {n}", category_id=1) for n in range(rows))
    tagged = Product.tags.through
    made = [tagged(product_id=n + 1, tag_id=n % places + 1) for n in range(rows)]
    tagged.objects.bulk_create(made)
    return [row.tag_id - 1 for row in made]


def places_in_database() -> list[int]:
    """Return the tag of each product, counted from 0."""
    from project.shop.models import Product

    rows = Product.tags.through.objects.nocache().order_by("product_id")
    return [row.tag_id - 1 for row in rows]


def view_of_database() -> View:
    """Return what holds when nobody writes. Versions are of no concern: none is in the database."""
    return View.of_database((0, place) for place in places_in_database())
