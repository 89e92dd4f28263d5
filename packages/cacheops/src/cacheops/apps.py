"""The app of ``INSTALLED_APPS = ["cacheops"]``: the Django package's own, under the name that projects ask for."""

from __future__ import annotations

from pathlib import Path

# The module and not the class: Django takes each class that is found here for a choice.
from cacheops_django import apps

__all__ = ["CacheopsConfig"]


class CacheopsConfig(apps.CacheopsConfig):
    """Starts the cache with the project.

    By its name ``apps.is_installed("cacheops")`` is true, and Django imports commands and tags from this package.
    By its path it finds which there are, and templates and static files, in the Django package.
    """

    name = "cacheops"
    path: str = str(Path(apps.__file__).parent)
