"""Categories of products with tags, and how the tables are filled: the same rows for everybody."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.db import connection, models, transaction

OTHERS = 19_000
"""Products in the categories that are not of a certain size."""

SIZES = {7: 20, 8: 100, 9: 500, 5: 20}
"""How many products the categories have that are asked for."""


class Category(models.Model):
    """What products are listed by."""

    title = models.CharField(max_length=50)


class Tag(models.Model):
    """What products have some of."""

    word = models.CharField(max_length=50)


class Product(models.Model):
    """A row as sites have them: ten columns of several types."""

    category = models.ForeignKey(Category, on_delete=models.CASCADE, related_name="products")
    tags = models.ManyToManyField(Tag)
    name = models.CharField(max_length=100)
    slug = models.SlugField()
    description = models.TextField()
    price = models.DecimalField(max_digits=8, decimal_places=2)
    stock = models.IntegerField(default=0)
    is_listed = models.BooleanField(default=True)
    added = models.DateTimeField()
    rating = models.FloatField(null=True)


def new_product(number: int, category: int) -> Product:
    """Return a product that is not in the database yet."""
    return Product(
        category_id=category,
        name=f"Product {number:05}",
        slug=f"product-{number}",
        description=f"The description of product {number}, which is as long as a sentence or two may be. "
        * 2,
        price=f"{number % 1000}.95",
        stock=number % 100,
        is_listed=number % 10 != 0,
        added=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number),
        rating=number % 50 / 10 or None,
    )


def fill_tables() -> None:
    """Put all rows into the empty tables."""
    with transaction.atomic():
        Category.objects.bulk_create(Category(title=f"Category {number}") for number in range(1, 51))
        Tag.objects.bulk_create(Tag(word=f"tag{number}") for number in range(1, 21))
        numbers = [category for category, size in SIZES.items() for _ in range(size)]
        numbers += [10 + number % 40 for number in range(OTHERS)]
        products = Product.objects.bulk_create(
            new_product(number, category) for number, category in enumerate(numbers, 1)
        )
        through = Product.tags.through
        through.objects.bulk_create(
            through(product=product, tag_id=(product.pk + n) % 20 + 1)
            for product in products[:200]
            for n in range(3)
        )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
