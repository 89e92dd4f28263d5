"""Fixtures for the tests of the core: real servers."""

from hypothesis import settings

from cacheops_core.testing.plugin import redis_client, redis_server

__all__ = ["redis_client", "redis_server"]

# An example takes as long as the machine is busy, which says nothing about the code.
settings.register_profile("unhurried", settings(), deadline=None)
settings.load_profile("unhurried")
