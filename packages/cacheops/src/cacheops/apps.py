"""Where Django looks for the app of `INSTALLED_APPS = ["cacheops"]`: it is the Django package's own.

Its name stays `cacheops_django`, by which Django finds the management commands and the template tags.
"""

from cacheops_django.apps import CacheopsConfig

__all__ = ["CacheopsConfig"]
