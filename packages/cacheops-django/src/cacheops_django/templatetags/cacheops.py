"""`{% load cacheops %}`: fragments of templates that are kept until a sample changes, or for a time."""

from __future__ import annotations

from typing import Any

from cacheops_django.fragments import CacheopsLibrary, FragmentDecorator, kept
from cacheops_django.results import Results

register: CacheopsLibrary = CacheopsLibrary()


@register.decorator_tag
def cached_as(
    queryset: Any, timeout: Any, fragment_name: Any, *extra: Any, near: Any = None
) -> FragmentDecorator:
    """Keep the fragment until the sample changes; a timeout of 0 or None is that of the sample's profile.

    ``near=True`` keeps copies in the process, too; left out, the sample's profile says whether.
    """
    is_near = None if near is None else bool(near)
    return kept(Results((queryset,), timeout or None, lock=None, near=is_near), fragment_name, extra)


@register.decorator_tag
def cached(timeout: Any, fragment_name: Any, *extra: Any, near: Any = False) -> FragmentDecorator:
    """Keep the fragment for so many seconds, for ever if that is 0 or None; in the process, too, with ``near=True``."""
    return kept(Results((), timeout or None, near=bool(near)), fragment_name, extra)
