"""What a site's own tests need of the cache; `cacheops_django.testing` says more."""

from cacheops_django.testing import CacheopsTestMixin, assert_cache_hits, assert_no_stale, isolated

__all__ = ["CacheopsTestMixin", "assert_cache_hits", "assert_no_stale", "isolated"]
