"""What the package does on Django's signals: it stores objects when they are saved, where profiles ask for that."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any

from django.core.exceptions import MultipleObjectsReturned, ObjectDoesNotExist
from django.db import connections, transaction
from django.db.models import Model

from . import conf
from .querysets import cache
from .transactions import is_open


def store_on_save(sender: type[Model], instance: Model, using: str, raw: bool = False, **kwargs: Any) -> None:
    """Store a saved object under the ``get`` that its profile names, once it is committed.

    It is read back from the database: what is in memory may be older by then than what somebody else has
    committed, and would be stored under stamps that are younger than both.
    """
    profile = conf.current().profile_for(sender)
    if profile is None or not profile.cache_on_save or raw or not conf.current().enabled:
        return
    field = "pk" if profile.cache_on_save is True else profile.cache_on_save
    value = getattr(instance, field)
    store = partial(_store, sender, {field: value}, using)
    if connections[using].in_atomic_block and not is_open(connections[using]):
        # What a test writes counts as committed, though TestCase never commits.
        store()
    else:
        transaction.on_commit(store, using=using, robust=True)


def _store(model: type[Model], condition: dict[str, Any], using: str) -> None:
    # Whoever asks for it later finds that there is none, or that there are several, in the cache as well.
    with suppress(ObjectDoesNotExist, MultipleObjectsReturned):
        cache(model._default_manager.using(using), ops="get").get(**condition)
