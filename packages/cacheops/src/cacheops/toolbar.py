"""The panel for django-debug-toolbar: add ``"cacheops.toolbar.CacheopsPanel"`` to ``DEBUG_TOOLBAR_PANELS``."""

from cacheops_django.toolbar import CacheopsPanel

__all__ = ["CacheopsPanel"]
