"""The simple cache and the file cache, under the name by which users of django-cacheops import them."""

from cacheops_core.errors import CacheMiss
from cacheops_django.functions import cached
from cacheops_django.simple import cache
from cacheops_django.views import cached_view

from .files import FileCache, file_cache

__all__ = ["CacheMiss", "FileCache", "cache", "cached", "cached_view", "file_cache"]
