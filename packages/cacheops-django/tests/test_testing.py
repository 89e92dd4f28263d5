"""What a site's own tests are given: namespaces, hits counted, cached reads compared."""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from textwrap import dedent
from typing import Any

import pytest
from django.test import TestCase, override_settings
from testapp.models import Category, Post, Tag

from cacheops_core.testing import Server
from cacheops_django.functions import cached_as
from cacheops_django.simple import cache
from cacheops_django.testing import CacheopsTestMixin, assert_cache_hits, assert_no_stale, isolated

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.usefixtures("db")


@cached_as(Tag, timeout=60)
def names() -> list[str]:
    return [tag.name for tag in Tag.objects.nocache().order_by("name")]


def test_a_namespace_begins_empty_and_leaves_nothing_behind(cache_server: Server) -> None:
    cache.set("key", "outside")
    with isolated():
        assert cache.get("key", None) is None
        cache.set("key", "inside")
        with isolated():
            assert cache.get("key", None) is None
        assert cache.get("key") == "inside"
        list(Tag.objects.cache())
    assert cache.get("key") == "outside"
    with cache_server.client() as client:
        assert client.keys("*test-*") == []


def test_a_prefix_that_is_a_function_is_kept() -> None:
    with override_settings(CACHEOPS_PREFIX=lambda query: "tenant:"), isolated():
        list(Tag.objects.cache())
        with assert_cache_hits(1):
            list(Tag.objects.cache())


def test_hits_and_misses_are_counted_of_querysets_and_functions() -> None:
    with assert_cache_hits(2, misses=2) as lookups:
        for _ in range(2):
            names()
            Tag.objects.cache().count()
    assert [lookup.is_hit for lookup in lookups] == [False, False, True, True]
    with assert_cache_hits(1, model="testapp.Tag"):
        list(Category.objects.cache())
        Tag.objects.cache().count()


def test_other_numbers_are_told_with_what_was_asked() -> None:
    told = r"expected 1 hits, got 0 hits and 1 misses:\n  miss  testapp.Tag"
    with pytest.raises(AssertionError, match=told), assert_cache_hits(1):
        Tag.objects.cache().count()


@pytest.mark.parametrize(
    "ask",
    [
        lambda: list(Tag.objects.order_by("pk").cache()),
        lambda: Tag.objects.cache().get(name="b"),
        lambda: Tag.objects.get(pk=Tag.objects.nocache().earliest("pk").pk),
        lambda: list(Tag.objects.order_by("pk").values_list("name").cache()),
        lambda: Tag.objects.filter(name="b").cache().count(),
        lambda: list(Post.objects.cache().select_related("category")),
    ],
    ids=["fetch", "get", "get by key", "values", "count", "objects with others"],
)
def test_what_the_database_does_not_say_is_stale(ask: Any) -> None:
    tag = Tag.objects.create(name="b")
    Post.objects.create(title="b", category=Category.objects.create(title="b"))
    ask()
    with assert_no_stale() as audit:
        ask()
    assert audit.compared
    # A plain update drops nothing, unless the profile says so.
    Tag.objects.filter(pk=tag.pk).update(name="c")
    Category.objects.update(title="c")
    with pytest.raises(AssertionError, match="stale answers"), assert_no_stale():
        ask()


def test_what_is_fresh_is_compared_and_passes() -> None:
    Tag.objects.create(name="b")
    with assert_no_stale() as audit:
        for _ in range(3):
            list(Tag.objects.cache())
    assert audit.compared == 2


class TestMixin(CacheopsTestMixin, TestCase):
    def test_each_test_has_a_cache_of_its_own(self) -> None:
        self.check()

    def test_whatever_others_have_cached(self) -> None:
        self.check()

    def check(self) -> None:
        with self.assert_cache_hits(1, misses=1), self.assert_no_stale() as audit:
            list(Tag.objects.cache())
            list(Tag.objects.cache())
        assert audit.compared == 1


PLUGIN = "cacheops_django.testing.plugin"
SETTINGS = """
    INSTALLED_APPS = ["django.contrib.contenttypes", "cacheops_django"]
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
    CACHEOPS = {"*.*": {"timeout": 60}}
    CACHEOPS_REDIS = "redis://127.0.0.1:1/"
"""
INI = """
    [pytest]
    cacheops_embedded = true
    cacheops_isolate = true
    filterwarnings = error
"""
TESTS = """
    import pytest
    from cacheops_django.simple import cache
    from django.contrib.contenttypes.models import ContentType

    @pytest.mark.parametrize("number", [1, 2])
    def test_a_cache_of_its_own(number):
        cache.set("key", number) if cache.add("key", number) else pytest.fail("somebody was here")

    @pytest.mark.django_db
    def test_hits(assert_cache_hits, assert_no_stale):
        with assert_cache_hits(1, misses=1), assert_no_stale():
            list(ContentType.objects.cache())
            list(ContentType.objects.cache())
"""


def test_the_plugin_gives_a_run_a_server_and_each_test_a_namespace(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makeini(dedent(INI))
    pytester.makepyfile(site_settings=dedent(SETTINGS), test_site=dedent(TESTS))
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "site_settings")
    monkeypatch.setenv("PYTHONPATH", str(pytester.path), prepend=os.pathsep)
    # Where the package is not installed, nothing tells pytest of the plugin.
    is_known = any(point.value == PLUGIN for point in entry_points(group="pytest11"))
    result = pytester.runpytest_subprocess(*(() if is_known else ("-p", PLUGIN)))
    result.assert_outcomes(passed=3)
