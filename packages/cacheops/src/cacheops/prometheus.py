"""The counters for Prometheus (extra ``prometheus``): ``register()`` once, where the project starts."""

from cacheops_django.metrics.prometheus import CacheopsCollector, register

__all__ = ["CacheopsCollector", "register"]
