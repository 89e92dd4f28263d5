"""A tag of the site's own, which caches a fragment as a function."""

from cacheops import CacheopsLibrary, cached_as

register = CacheopsLibrary()


@register.decorator_tag(takes_context=True)
def cache_menu(context, menu_name):
    from articles.models import Flag, MenuItem
    from django.utils import translation

    if context.get("is_staff"):
        # Whoever edits the menu wants to see it.
        return lambda func: func

    return cached_as(
        MenuItem,
        Flag.objects.filter(name="menu"),
        extra=("menu", menu_name, translation.get_language()),
        timeout=24 * 60 * 60,
    )
