"""django-tenants: a prefix by schema keeps each tenant's results, and its writes, to itself."""

from django.core.management import call_command
from django_tenants.utils import schema_context
from shops.models import Product
from tenancy.models import Client

from cacheops.testing import assert_cache_hits

call_command("migrate_schemas", schema_name="public", interactive=False, verbosity=0)
for name in ("north", "south"):
    Client(schema_name=name, name=name).save(verbosity=0)
    with schema_context(name):
        Product.objects.create(name=f"of the {name}")


def names(schema: str) -> list[str]:
    with schema_context(schema):
        return [product.name for product in Product.objects.order_by("pk")]


with assert_cache_hits(2, misses=2):
    for _ in range(2):
        assert names("north") == ["of the north"]
        assert names("south") == ["of the south"]

with schema_context("north"):
    Product.objects.create(name="new")
with assert_cache_hits(1, misses=1):
    assert names("north") == ["of the north", "new"]
    assert names("south") == ["of the south"]
print("right")
