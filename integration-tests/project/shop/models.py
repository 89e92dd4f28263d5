"""The models of the shop; `version` counts the writes of a product, so that readers can tell old from new."""

from django.db import models


class Category(models.Model):
    title = models.CharField(max_length=50)
    parent = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="children")


class Tag(models.Model):
    name = models.CharField(max_length=50)


class Product(models.Model):
    category = models.ForeignKey(Category, on_delete=models.CASCADE, related_name="products")
    name = models.CharField(max_length=50)
    price = models.DecimalField(max_digits=8, decimal_places=2, default=1)
    stock = models.IntegerField(default=0)
    version = models.IntegerField(default=0)
    tags = models.ManyToManyField(Tag, related_name="products")


class Book(Product):
    """A product with a table of its own besides."""

    isbn = models.CharField(max_length=13)


class Order(models.Model):
    is_paid = models.BooleanField(default=False)
    placed = models.DateTimeField(null=True)


class Line(models.Model):
    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="lines")
    product = models.ForeignKey(Product, on_delete=models.CASCADE, related_name="lines")
    quantity = models.PositiveIntegerField(default=1)
