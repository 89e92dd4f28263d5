"""The backend for Django's ``CACHES``: ``"BACKEND": "cacheops.backend.CacheBackend"``."""

from cacheops_django.backend import CacheBackend

__all__ = ["CacheBackend"]
