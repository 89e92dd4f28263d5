"""Fragments in each kind of cache, with real servers where they are kept in Redis."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import pytest
import redis
import redis.asyncio
from jinja2 import Environment

from cacheops_core import AsyncCache, Cache, Dependencies
from cacheops_core.errors import BackendError, ConfigurationError
from cacheops_core.testing import Server, wait_for
from cacheops_jinja2.asking import Fragment, asking, run

FRAGMENT = "{% cached %}{{ tick() }}{% endcached %}"
BY_CATEGORY = '{% cached_as {"product": [{"category": c}]} %}{{ tick() }}{% endcached_as %}'


def environment_with(cache: Any, **options: Any) -> Environment:
    """Return an environment whose cache this is."""
    environment = Environment(extensions=["cacheops_jinja2.CacheopsExtension"], **options)
    environment.cacheops = cache  # type: ignore[attr-defined]
    environment.globals["tick"] = count(1).__next__
    return environment


@pytest.fixture
def cache(redis_client: redis.Redis) -> Cache:
    """A cache on a real server."""
    return Cache(redis_client, prefix="t:")


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def environment(request: pytest.FixtureRequest, cache: Cache) -> Environment:
    """An environment of each kind with that cache."""
    return environment_with(cache, enable_async=request.param)


# A core cache


def test_a_cache_keeps_fragments(environment):
    template = environment.from_string(FRAGMENT)
    assert [template.render(), template.render()] == ["1", "1"]


def test_a_cache_keeps_fragments_for_as_long_as_they_say(environment, redis_client):
    environment.from_string("{% cached timeout=500 %}{% endcached %}").render()
    (entry,) = redis_client.keys("t:e:*")
    assert 499_000 < redis_client.pttl(entry) <= 500_000


def test_a_fragment_is_dropped_when_what_it_depends_on_changes(environment, cache):
    template = environment.from_string(BY_CATEGORY)
    assert [template.render(c=c) for c in (7, 8, 7, 8)] == ["1", "2", "1", "2"]
    cache.invalidate("product", {"id": 1, "category": 7})
    assert [template.render(c=c) for c in (7, 8)] == ["3", "2"]


@pytest.mark.parametrize("samples", ["'product'", "{'product': []}", "'other', {'product': [{}]}", "known"])
def test_samples_are_whatever_the_cache_takes(environment, cache, samples):
    source = f"{{% cached_as {samples}, timeout=60, extra=1 %}}{{{{ tick() }}}}{{% endcached_as %}}"
    template = environment.from_string(source)
    known = Dependencies.coerce("product")
    assert [template.render(known=known) for _ in range(2)] == ["1", "1"]
    cache.invalidate("product", {"id": 1})
    assert template.render(known=known) == "2"


def test_a_text_that_was_made_while_its_rows_changed_is_not_kept(environment, cache):
    template = environment.from_string('{% cached_as "product" %}{{ tick() }}{{ write() }}{% endcached_as %}')
    assert template.render(write=lambda: cache.invalidate("product") or "") == "1"
    assert template.render(write=lambda: "") == "2"
    assert template.render(write=lambda: "") == "2"


def test_a_wrong_sample_is_refused_with_its_place(environment):
    template = environment.from_string("\n{% cached_as products %}{% endcached_as %}")
    with pytest.raises(
        ConfigurationError, match="cached_as in an unnamed template, line 2: dependencies must be"
    ):
        template.render()


def test_texts_may_be_kept_as_json(redis_client):
    environment = environment_with(Cache(redis_client, serializer="json"), autoescape=True)
    template = environment.from_string("{% cached %}<{{ tick() }}>{% endcached %}")
    assert [template.render(), template.render()] == ["<1>", "<1>"]


def test_without_a_server_pages_are_rendered_if_the_cache_may_go_on():
    down = redis.Redis(host="127.0.0.1", port=1)
    assert environment_with(Cache(down, degrade=True)).from_string(FRAGMENT).render() == "1"
    with pytest.raises(BackendError):
        environment_with(Cache(down)).from_string(FRAGMENT).render()


LOCKED = "{% cached 60, lock=True %}{{ pause() }}{{ tick() }}{% endcached %}"


def test_with_a_lock_one_renders_while_the_others_wait(cache, redis_client):
    template = environment_with(cache).from_string(LOCKED)
    begun, may_end = [], threading.Event()

    def pause() -> str:
        begun.append(threading.get_ident())
        assert may_end.wait(20)
        return ""

    with ThreadPoolExecutor(2) as pool:
        texts = [pool.submit(template.render, pause=pause) for _ in range(2)]
        # Whoever waits for the lock is blocked by the server.
        wait_for(lambda: redis_client.info("clients")["blocked_clients"] == 1 or len(begun) == 2)
        may_end.set()
        assert [text.result() for text in texts] == ["1", "1"]


def test_a_fragment_with_a_lock_is_dropped_when_what_it_depends_on_changes(cache):
    source = "{% cached_as 'product', lock=True %}{{ tick() }}{% endcached_as %}"
    template = environment_with(cache).from_string(source)
    assert [template.render(), template.render()] == ["1", "1"]
    cache.invalidate("product", {"id": 1})
    assert template.render() == "2"


def test_a_cache_that_blocks_has_no_locks_in_an_async_environment(cache):
    # Its threads would wait while a fragment is rendered, which may need one for a fragment inside.
    template = environment_with(cache, enable_async=True).from_string("\n" + LOCKED)
    with pytest.raises(
        ConfigurationError, match=r"line 2 has lock=, which .*\.Cache cannot do here: .* an AsyncCache"
    ):
        template.render()


# On an event loop


@asynccontextmanager
async def async_cache(server: Server) -> AsyncIterator[AsyncCache]:
    """An async cache on an empty server."""
    client = redis.asyncio.Redis.from_url(server.url)
    await client.flushall()
    try:
        yield AsyncCache(client, prefix="t:")
    finally:
        await client.aclose()


def on_loop(server: Server, work: Callable[[AsyncCache, Environment], Any]) -> Any:
    """Return what a coroutine function returns for an async cache and an environment with it."""

    async def main() -> Any:
        async with async_cache(server) as cache:
            return await work(cache, environment_with(cache, enable_async=True))

    return asyncio.run(main())


def test_an_async_cache_keeps_fragments(redis_server):
    async def work(cache, environment):
        template = environment.from_string(FRAGMENT)
        return [await template.render_async() for _ in range(2)]

    assert on_loop(redis_server, work) == ["1", "1"]


def test_an_async_cache_drops_what_depends_on_a_change(redis_server):
    async def work(cache, environment):
        template = environment.from_string(BY_CATEGORY)
        before = [await template.render_async(c=c) for c in (7, 8, 7)]
        await cache.invalidate("product", {"id": 1, "category": 7})
        return before, [await template.render_async(c=c) for c in (7, 8)]

    assert on_loop(redis_server, work) == (["1", "2", "1"], ["3", "2"])


def test_coroutines_are_awaited_inside_of_a_fragment_and_in_its_options(redis_server):
    async def work(cache, environment):
        async def later(value):
            await asyncio.sleep(0)
            return value

        template = environment.from_string("{% cached extra=later(1) %}{{ later(2) }}{% endcached %}")
        return [await template.render_async(later=later) for _ in range(2)]

    assert on_loop(redis_server, work) == ["2", "2"]


def test_with_a_lock_one_coroutine_renders_while_the_others_wait(redis_server, redis_client):
    async def work(cache, environment):
        template, begun = environment.from_string(LOCKED), []

        def is_decided() -> bool:
            return redis_client.info("clients")["blocked_clients"] == 1 or len(begun) == 2

        async def pause() -> str:
            begun.append(1)
            await asyncio.to_thread(wait_for, is_decided)
            return ""

        return await asyncio.gather(*(template.render_async(pause=pause) for _ in range(2)))

    assert on_loop(redis_server, work) == ["1", "1"]


def test_an_async_page_may_be_streamed(redis_server):
    async def work(cache, environment):
        template = environment.from_string("a" + FRAGMENT + "b")
        return [part async for part in template.generate_async()]

    assert "".join(on_loop(redis_server, work)) == "a1b"


def test_many_nested_fragments_at_once_do_not_wait_for_one_anothers_threads(cache):
    environment = environment_with(cache, enable_async=True)
    source = "{% cached extra=i %}{% cached extra=i %}{{ pause() }}{{ i }}{% endcached %}{% endcached %}"
    template = environment.from_string(source)

    async def work() -> list[str]:
        started, all_started = count(1), asyncio.Event()

        async def pause() -> str:
            # All of them are inside of both fragments at once: more than there are threads.
            if next(started) == 60:
                all_started.set()
            await all_started.wait()
            return ""

        return await asyncio.gather(*(template.render_async(i=i, pause=pause) for i in range(60)))

    assert asyncio.run(asyncio.wait_for(work(), 60)) == [str(i) for i in range(60)]


def test_a_cache_that_blocks_is_asked_in_a_thread_and_the_page_rendered_on_its_loop(store):
    threads: dict[str, int] = {}

    class Blocking:
        def get(self, key, default):
            threads["get"] = threading.get_ident()
            return default

        def set(self, key, value):
            threads["set"] = threading.get_ident()

    environment = environment_with(Blocking(), enable_async=True)
    template = environment.from_string("{% cached %}{{ here() }}{% endcached %}")
    loop_thread = int(template.render(here=threading.get_ident))
    assert loop_thread == threading.get_ident()
    assert loop_thread not in threads.values()


def test_an_async_cache_needs_an_async_environment(redis_server):
    async def work(cache, environment):
        template = environment_with(cache).from_string(FRAGMENT)
        with pytest.raises(
            ConfigurationError, match=r"line 1 cannot wait for .*AsyncCache: .*enable_async=True"
        ):
            template.render()

    on_loop(redis_server, work)


# Other caches


class Computing:
    """What an adapter offers: all in one verb, with samples that mean something to it alone."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def dependencies_of(self, *samples: Any) -> Any:
        return samples

    def get_or_compute(self, key: str, dependencies: Any, compute: Callable[[], Any], *timeout: Any) -> Any:
        self.asked.append((key, dependencies, *timeout))
        return compute()


class AsyncComputing(Computing):
    async def get_or_compute(self, key, dependencies, compute, *timeout):
        self.asked.append((key, dependencies, *timeout))
        return await compute()


class Locking(Computing):
    def get_or_compute(self, key, dependencies, compute, *timeout, **options):
        self.asked.append((*timeout, options))
        return compute()


def test_an_adapter_is_told_of_the_lock_if_it_takes_one():
    cache = Locking()
    source = "{% cached 5, lock=True %}{% endcached %}{% cached lock=0 %}{% endcached %}{% cached %}{% endcached %}"
    environment_with(cache).from_string(source).render()
    assert cache.asked == [(5, {"lock": True}), ({"lock": False},), ({},)]


@pytest.mark.parametrize("kind", [Computing, AsyncComputing], ids=["sync", "async"])
def test_an_adapter_that_takes_no_lock_is_not_asked_for_one(kind):
    environment = environment_with(kind(), enable_async=kind is AsyncComputing)
    assert environment.from_string("{% cached lock=False %}x{% endcached %}").render() == "x"
    with pytest.raises(ConfigurationError, match=r"line 1 has lock=, which .*Computing cannot do here"):
        environment.from_string("{% cached lock=True %}x{% endcached %}").render()


@pytest.mark.parametrize("kind", [Computing, AsyncComputing], ids=["sync", "async"])
def test_an_adapter_says_what_samples_are(kind):
    cache, sample = kind(), object()
    environment = environment_with(cache, enable_async=kind is AsyncComputing)
    source = "{% cached_as a, 1, timeout=5 %}x{% endcached_as %}{% cached %}y{% endcached %}"
    assert environment.from_string(source).render(a=sample) == "xy"
    assert [asked[1:] for asked in cache.asked] == [((sample, 1), 5), ({},)]


def test_what_an_adapter_returns_is_not_escaped_again():
    environment = environment_with(Computing(), autoescape=True)
    assert (
        environment.from_string("{% set a %}{% cached %}<{% endcached %}{% endset %}{{ a }}").render() == "<"
    )


def test_an_async_page_does_not_compute_in_a_verb_that_blocks(store):
    store.get_or_compute = lambda *_: pytest.fail("called")
    template = environment_with(store, enable_async=True).from_string(FRAGMENT)
    assert [template.render(), template.render()] == ["1", "1"]


@pytest.mark.parametrize("is_async", [False, True])
def test_a_cache_that_follows_nothing_is_refused_by_cached_as(store, is_async):
    template = environment_with(store, enable_async=is_async).from_string(
        "{% cached_as 'a' %}{% endcached_as %}"
    )
    with pytest.raises(ConfigurationError, match=r"line 1 needs a cache that follows .*, got .*Store"):
        template.render()


def test_something_else_than_a_cache_is_refused():
    with pytest.raises(
        ConfigurationError, match=r"needs environment.cacheops to be a Cache or .*, got builtins.str"
    ):
        environment_with("redis://").from_string(FRAGMENT).render()


def test_what_an_adapter_raises_is_raised():
    class Broken(Computing):
        def get_or_compute(self, *_):
            raise StopIteration

    with pytest.raises(StopIteration):
        run(asking(Broken(), Fragment(key="k", dependencies={}, render=str), is_async=False))
