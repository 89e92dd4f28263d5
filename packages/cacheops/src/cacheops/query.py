"""What follows querysets, under the name by which users of django-cacheops import it."""

from cacheops_django.functions import cached_as
from cacheops_django.views import cached_view_as

__all__ = ["cached_as", "cached_view_as", "install_cacheops"]


def install_cacheops() -> None:
    """Do nothing: the app in ``INSTALLED_APPS`` puts the cache under Django's querysets when the project starts."""
