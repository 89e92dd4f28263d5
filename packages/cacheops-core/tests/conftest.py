"""Fixtures for the tests of the core: real servers."""

from cacheops_core.testing.plugin import redis_client, redis_server

__all__ = ["redis_client", "redis_server"]
