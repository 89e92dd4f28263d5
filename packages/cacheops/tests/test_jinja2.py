"""The Jinja2 extension under its old name: in a project, tags keep texts in the project's cache."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import override_settings
from jinja2 import Environment

from cacheops.jinja2 import AsyncProjectCache, ProjectCache, ProjectExtension
from cacheops_core.errors import ConfigurationError
from cacheops_core.testing import start_server
from cacheops_jinja2 import CacheopsExtension


@pytest.fixture(scope="module")
def server() -> Iterator[None]:
    """A server for the project's cache."""
    with start_server() as server, override_settings(CACHEOPS_REDIS=server.url):
        yield


def environment(**options: Any) -> Environment:
    """Return an environment as older settings files ask for it."""
    return Environment(extensions=["cacheops.jinja2.cache"], **options)


def test_the_old_name_of_the_extension_leads_to_ours():
    (extension,) = environment().extensions.values()
    assert type(extension) is ProjectExtension
    assert isinstance(extension, CacheopsExtension)


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
