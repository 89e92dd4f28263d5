"""Managers and querysets by names that say what the cache adds, for checkers without the plugin for mypy."""

from cacheops_django.typing import CachedManager, CachedQuerySet

__all__ = ["CachedManager", "CachedQuerySet"]
