"""The same for Django's ``TestCase``."""

from __future__ import annotations

from contextlib import AbstractContextManager
from unittest import TestCase

from cacheops_django import events

from . import auditing, hits, namespaces

__all__ = ["CacheopsTestMixin"]


class CacheopsTestMixin(TestCase):
    """Gives each test a cache of its own: ``class ShopTests(CacheopsTestMixin, TestCase)``."""

    def setUp(self) -> None:
        """Enter a namespace that the test leaves at its end."""
        self.enterContext(namespaces.isolated())
        super().setUp()

    def assert_cache_hits(
        self, hits_wanted: int, misses: int | None = None, *, model: str | None = None
    ) -> AbstractContextManager[list[events.Lookup]]:
        """Fail unless so many questions find their answer in the cache, and so many do not."""
        return hits.assert_cache_hits(hits_wanted, misses, model=model)

    def assert_no_stale(self) -> AbstractContextManager[auditing.Audit]:
        """Fail if the cache answers anything about rows that the database does not."""
        return auditing.assert_no_stale()
