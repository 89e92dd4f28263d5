"""`{% load cacheops %}` in projects that install the app as "cacheops": the Django package's own library."""

from cacheops_django.fragments import CacheopsLibrary, invalidate_fragment
from cacheops_django.templatetags.cacheops import register

__all__ = ["CacheopsLibrary", "invalidate_fragment", "register"]
