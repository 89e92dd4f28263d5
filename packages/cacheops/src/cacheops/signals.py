"""The signals, under the name by which users of django-cacheops import them."""

from cacheops_django.signals import cache_invalidated, cache_read

__all__ = ["cache_invalidated", "cache_read"]
