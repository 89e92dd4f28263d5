"""The decorators of a cache: results kept by their arguments, until what they depend on changes."""

import asyncio

import pytest

from cacheops_core.cache import Cache
from cacheops_core.cache_async import AsyncCache
from cacheops_core.errors import CacheMiss, ConfigurationError
from cacheops_core.testing.contract import Awaited

DRINKS = {"product": [{"category": 7}]}


@pytest.fixture(params=["sync", "async"])
def either(request, redis_server, redis_client):
    """A cache, and what makes a function for it out of a plain one, called as a plain one."""
    if request.param == "sync":
        yield Cache(redis_client), lambda decorate, func: decorate(func)
        return
    with asyncio.Runner() as runner:
        cache = AsyncCache(redis_server.url)

        def make(decorate, func):
            async def function(name):
                return func(name)

            return Awaiting(decorate(function), runner)

        yield Awaited(cache, runner), make
        runner.run(cache.close())


class Awaiting:
    """A cached coroutine function, called as a plain one."""

    def __init__(self, func, runner):
        self.func, self.runner = func, runner

    def __call__(self, *args, **kwargs):
        return self.runner.run(self.func(*args, **kwargs))

    def invalidate(self, *args):
        return self.runner.run(self.func.invalidate(*args))

    def key(self, *args):
        return Stored(self.func.key(*args), self.runner)


class Stored:
    """Where a call's result is stored, asked as in a plain program."""

    def __init__(self, stored, runner):
        self.stored, self.runner = stored, runner

    def __getattr__(self, name):
        async def ask(*args):
            return await getattr(self.stored, name)(*args)

        return lambda *args: self.runner.run(ask(*args))


CALLS: list[str] = []


def count(name="k"):
    """Say how often it was called, by its argument."""
    # Not a closure: a function is another one when what it closes over has changed.
    CALLS.append(name)
    return f"{name}{CALLS.count(name)}"


@pytest.fixture
def counting():
    CALLS.clear()
    return count


def test_a_result_is_kept_by_its_arguments(either, counting):
    cache, make = either
    function = make(cache.cached, counting)
    assert [function("a"), function("b"), function(name="a")] == ["a1", "b1", "a1"]


def test_a_dropped_result_is_computed_again(either, counting):
    cache, make = either
    function = make(cache.cached(timeout=60), counting)
    function("a"), function("b")
    function.invalidate("a")
    assert [function("a"), function("b")] == ["a2", "b1"]


@pytest.mark.parametrize("how", [{}, {"lock": True}, {"stale": 5.0}], ids=repr)
def test_a_result_goes_with_what_it_depends_on(either, counting, how):
    cache, make = either
    function = make(cache.cached_as(DRINKS, **how), counting)
    assert [function("a"), function("a")] == ["a1", "a1"]
    cache.invalidate("product", {"category": 8})
    assert function("a") == "a1"
    cache.invalidate("product", {"category": 7})
    assert [function("a"), function("a")] == ["a2", "a2"]


def test_a_result_goes_with_any_of_several_samples(either, counting):
    cache, make = either
    function = make(cache.cached_as(DRINKS, "shop"), counting)
    for table, expected in (("shop", "a2"), ("product", "a3")):
        function("a")
        cache.invalidate(table)
        assert function("a") == expected


def test_a_result_that_was_computed_while_somebody_wrote_is_not_kept(either, counting):
    cache, make = either

    def slow(name):
        with Cache(f"redis://{address}").writing("product"):
            return counting(name)

    options = (
        cache if isinstance(cache, Cache) else cache._cache
    ).driver.client.connection_pool.connection_kwargs
    address = f"{options['host']}:{options['port']}"
    function = make(cache.cached_as(DRINKS), slow)
    assert [function("a"), function("a")] == ["a1", "a2"]


@pytest.mark.parametrize("decorator", ["cached", "cached_as"])
def test_what_is_stored_for_a_call_can_be_asked_for_set_and_dropped(either, counting, decorator):
    cache, make = either
    function = make(cache.cached() if decorator == "cached" else cache.cached_as(DRINKS), counting)
    stored = function.key("a")
    with pytest.raises(CacheMiss):
        stored.get()
    assert stored.get(None) is None
    stored.set("mine")
    assert stored.get() == function("a") == "mine"
    stored.delete()
    assert function("a") == "a1"


def test_the_same_function_with_other_samples_keeps_other_results(either, counting):
    cache, make = either
    assert make(cache.cached_as("product"), counting)("a") == "a1"
    assert make(cache.cached_as("shop"), counting)("a") == "a2"


def test_a_plain_function_cannot_wait_for_an_async_cache(redis_server):
    with pytest.raises(ConfigurationError, match="make it async def"):
        AsyncCache(redis_server.url).cached_as("product")(str)


def test_a_coroutine_function_can_use_a_sync_cache(redis_client, counting):
    cache = Cache(redis_client)

    @cache.cached_as(DRINKS, lock=True)
    async def function():
        return counting("a")

    async def main():
        return [await function(), await function()]

    assert asyncio.run(main()) == ["a1", "a1"]
    cache.invalidate("product")
    assert asyncio.run(main()) == ["a2", "a2"]


def test_wrong_samples_are_refused_where_they_are_written(redis_client):
    with pytest.raises(ConfigurationError, match="dependencies must be"):
        Cache(redis_client).cached_as(7)
