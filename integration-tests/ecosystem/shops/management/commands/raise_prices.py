"""A command that writes as any other code does."""

from typing import Any

from django.core.management.base import BaseCommand

from shops.models import Product


class Command(BaseCommand):
    def handle(self, *args: Any, **options: Any) -> None:
        for product in Product.objects.all():
            product.price += 1
            product.save()
