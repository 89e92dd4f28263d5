"""Signals by which a project watches its cache, with the arguments that receivers for django-cacheops expect.

A receiver that raises is logged and changes nothing: neither the answer to a query nor what a write drops.
"""

from django.dispatch import Signal

__all__ = ["cache_invalidated", "cache_read"]

cache_read: Signal = Signal()
"""Sent after each look into the cache.

`sender` is the model class of a queryset, or None for a function; `func` is the decorated function, or None
for a queryset; `hit` is True if the cache had the answer.
"""

cache_invalidated: Signal = Signal()
"""Sent after what depended on an object, or on a whole table, has been dropped.

`sender` is the model class, or None if everything was dropped; `obj_dict` maps field names to the values that
the object had, or is None if the whole table was dropped.
"""
