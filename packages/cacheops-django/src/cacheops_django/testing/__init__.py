"""What a site's own tests need of the cache: a namespace for each, hits counted, every cached read compared.

`isolated`, `assert_cache_hits` and `assert_no_stale` are context managers; `CacheopsTestMixin` has them for Django's
``TestCase``, and `plugin`, which pytest loads by itself, as fixtures.
"""

from .auditing import assert_no_stale
from .cases import CacheopsTestMixin
from .hits import assert_cache_hits
from .namespaces import isolated

__all__ = ["CacheopsTestMixin", "assert_cache_hits", "assert_no_stale", "isolated"]
