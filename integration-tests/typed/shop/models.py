"""Models whose managers every checker knows, and one that needs mypy's plugin."""

from __future__ import annotations

from typing import ClassVar, Self

from django.db import models

from cacheops.typing import CachedManager


class Author(models.Model):
    objects: ClassVar[CachedManager[Self]] = CachedManager()


class PostQuerySet(models.QuerySet["Post"]):
    def signed(self) -> PostQuerySet:
        return self.exclude(author=None)


class Post(models.Model):
    author: models.ForeignKey[Author | None, Author | None] = models.ForeignKey(
        Author, null=True, on_delete=models.CASCADE, related_name="posts"
    )
    # pyright knows nothing of managers that are made by a call.
    objects = models.Manager.from_queryset(PostQuerySet)()  # pyright: ignore
