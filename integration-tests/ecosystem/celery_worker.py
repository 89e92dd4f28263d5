"""Celery: what a task writes is seen by the site as soon as the task has returned; a command writes like any code."""

from celery import Celery
from celery.contrib.testing.worker import start_worker
from django.core.management import call_command
from shops.models import Product

from cacheops.testing import assert_cache_hits

call_command("migrate", run_syncdb=True, verbosity=0)
app = Celery("shops", broker="memory://", backend="cache+memory://")
Product.objects.create(name="kettle", price=20)


@app.task
def set_price(name: str, price: int) -> list[int]:
    product = Product.objects.get(name=name)
    product.price = price
    product.save()
    return prices()


def prices() -> list[int]:
    return [product.price for product in Product.objects.all()]


assert prices() == [20]
with start_worker(app, pool="solo", perform_ping_check=False, loglevel="ERROR"):
    assert set_price.delay("kettle", 25).get(timeout=30) == [25]
    with assert_cache_hits(1):
        assert prices() == [25]

call_command("raise_prices")
assert prices() == [26]
print("right")
