"""The Jinja2 extension under its old name: in a project, tags keep texts in the project's cache."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import override_settings
from jinja2 import Environment

import cacheops_jinja2
from cacheops.jinja2 import AsyncProjectCache, CacheopsExtension, ProjectCache
from cacheops.redis import redis_client
from cacheops_core.errors import ConfigurationError
from cacheops_core.testing import start_server, wait_for


@pytest.fixture(scope="module")
def server() -> Iterator[None]:
    """A server for the project's cache."""
    with start_server() as server, override_settings(CACHEOPS_REDIS=server.url):
        yield


def environment(**options: Any) -> Environment:
    """Return an environment as older settings files ask for it."""
    return Environment(extensions=["cacheops.jinja2.cache"], **options)


@pytest.mark.parametrize("name", ["cache", "CacheopsExtension"])
def test_the_old_names_of_the_extension_lead_to_ours(name):
    (extension,) = Environment(extensions=[f"cacheops.jinja2.{name}"]).extensions.values()
    assert type(extension) is CacheopsExtension
    assert isinstance(extension, cacheops_jinja2.CacheopsExtension)


@pytest.mark.parametrize("is_async, kind", [(False, ProjectCache), (True, AsyncProjectCache)])
def test_the_cache_is_the_projects_by_default(is_async, kind):
    (extension,) = environment(enable_async=is_async).extensions.values()
    assert type(extension.default_cache()) is kind


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("is_async", [False, True])
def test_fragments_are_kept_in_the_projects_cache(is_async):
    template = environment(enable_async=is_async, autoescape=True).from_string(
        "{% cached timeout=60 %}<{{ text }}>{% endcached %}"
    )
    assert [template.render(text=text) for text in ("<", ">")] == ["<&lt;>", "<&lt;>"]


@pytest.mark.usefixtures("server")
def test_an_async_page_is_rendered_on_its_own_loop():
    template = environment(enable_async=True).from_string("{% cached %}{{ loop() == outer }}{% endcached %}")

    async def work() -> str:
        loop = asyncio.get_running_loop
        return await template.render_async(loop=loop, outer=loop())

    assert asyncio.run(work()) == "True"


@pytest.mark.usefixtures("server")
@pytest.mark.django_db
def test_samples_are_what_the_decorators_take():
    template = environment().from_string(
        "{% cached_as groups, timeout=60 %}{{ groups.count() }}{% endcached_as %}"
    )
    assert [template.render(groups=Group.objects.all()) for _ in range(2)] == ["0", "0"]
    Group.objects.create(name="editors")
    assert template.render(groups=Group.objects.all()) == "1"


@pytest.mark.usefixtures("server")
@pytest.mark.django_db
@pytest.mark.parametrize("options", ["lock=True", "lock=False", "keep_fresh=True, extra=1", "timeout=5"])
def test_tags_take_the_options_of_the_decorators(options):
    source = f"{{% cached_as groups, {options} %}}{{{{ tick() }}}}{{% endcached_as %}}"
    template = environment().from_string(source)
    tick = count(1).__next__
    assert [template.render(groups=Group.objects.all(), tick=tick) for _ in range(2)] == ["1", "1"]


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("is_async", [False, True])
def test_one_renders_while_the_others_wait(is_async):
    template = environment(enable_async=is_async).from_string(
        "{% cached 60, lock=True, extra=is_async %}{{ pause() }}{{ tick() }}{% endcached %}"
    )
    may_end, tick, begun = threading.Event(), count(1).__next__, []

    def pause() -> str:
        begun.append(threading.get_ident())
        assert may_end.wait(20)
        return ""

    def render() -> str:
        return template.render(is_async=is_async, pause=pause, tick=tick)

    with ThreadPoolExecutor(2) as pool:
        texts = [pool.submit(render), pool.submit(render)]
        # Whoever waits for the lock is blocked by the server.
        wait_for(lambda: redis_client.info("clients")["blocked_clients"] == 1 or len(begun) == 2)
        may_end.set()
        assert [text.result() for text in texts] == ["1", "1"]


@pytest.mark.parametrize("is_async", [False, True])
def test_a_list_in_place_of_a_queryset_is_rendered_and_not_kept(is_async):
    # As an empty page of a paginator has it.
    template = environment(enable_async=is_async).from_string(
        "{% cached_as page %}{{ tick() }}{% endcached_as %}"
    )
    tick = count(1).__next__
    assert [template.render(page=[], tick=tick) for _ in range(2)] == ["1", "2"]


@pytest.mark.usefixtures("server")
def test_other_samples_are_refused_as_the_decorators_refuse_them():
    template = environment().from_string("{% cached_as 'auth_group' %}{% endcached_as %}")
    with pytest.raises(ConfigurationError, match="a sample must be a queryset, a model or an instance"):
        template.render()


def test_a_cache_of_the_environment_comes_first():
    made = environment()
    made.cacheops = type(  # type: ignore[attr-defined]
        "Kept", (), {"get": lambda self, key, default: "kept", "set": None}
    )()
    assert made.from_string("{% cached %}{% endcached %}").render() == "kept"
