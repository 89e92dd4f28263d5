"""Invalidation by hand from coroutines: in the thread of Django's ORM, which knows the open transaction."""

from __future__ import annotations

from asgiref.sync import sync_to_async
from django.db.models import Model

from .invalidation import invalidate_all, invalidate_model, invalidate_obj

__all__ = ["ainvalidate_all", "ainvalidate_model", "ainvalidate_obj"]


async def ainvalidate_obj(obj: Model, using: str | None = None) -> None:
    """Drop what depends on an object as it is in memory, once the open transaction commits if there is one."""
    await sync_to_async(invalidate_obj)(obj, using)


async def ainvalidate_model(model: type[Model], using: str | None = None) -> None:
    """Drop what depends on any row of a model, once the open transaction commits if there is one."""
    await sync_to_async(invalidate_model)(model, using)


async def ainvalidate_all() -> None:
    """Drop everything in the cache; of what else its server holds, nothing."""
    await sync_to_async(invalidate_all)()
