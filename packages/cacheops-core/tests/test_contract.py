"""The contract that every cache owes, over the sync and the async cache, on each server that is there."""

import asyncio

import pytest

from cacheops_core.cache import Cache
from cacheops_core.cache_async import AsyncCache
from cacheops_core.testing.contract import Awaited, DependentCacheContract, LockContract, SimpleCacheContract


class TestSync(SimpleCacheContract, DependentCacheContract, LockContract):
    @pytest.fixture
    def cache(self, redis_client):
        return Cache(redis_client)


class TestAsync(SimpleCacheContract, DependentCacheContract, LockContract):
    @pytest.fixture
    def cache(self, redis_server, redis_client):
        with asyncio.Runner() as runner:
            cache = AsyncCache(redis_server.url)
            yield Awaited(cache, runner)
            runner.run(cache.close())

    @pytest.fixture
    def other(self, redis_client):
        return Cache(redis_client)
