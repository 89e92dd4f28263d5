"""The panel of django-debug-toolbar lists what a request has asked and dropped, and nothing of other requests."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from closing import close
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, AsyncRequestFactory, Client, RequestFactory, override_settings
from testapp.models import Category, Post, Tag

from cacheops_core.testing import Server
from cacheops_core.units import Change
from cacheops_django import events
from cacheops_django.functions import cached_as
from cacheops_django.invalidation import invalidate_all
from cacheops_django.words import changes

pytestmark = pytest.mark.django_db

SITE = {
    "ROOT_URLCONF": "toolbar_pages",
    "ALLOWED_HOSTS": ["testserver"],
    "MIDDLEWARE": ["debug_toolbar.middleware.DebugToolbarMiddleware"],
    "STATIC_URL": "static/",
    "TEMPLATES": [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
    "DEBUG_TOOLBAR_PANELS": ["cacheops_django.toolbar.CacheopsPanel"],
    "DEBUG_TOOLBAR_CONFIG": {"SHOW_TOOLBAR_CALLBACK": lambda request: True, "RENDER_PANELS": True},
}


APPS = [
    *["django.contrib.contenttypes", "django.contrib.auth", "cacheops_django", "testapp"],
    *["django.contrib.staticfiles", "debug_toolbar"],
]


@pytest.fixture(scope="module", autouse=True)
def _site(cache_server: Server) -> Iterator[None]:
    # Apps are made ready before other settings of the same override count.
    with override_settings(**SITE), override_settings(INSTALLED_APPS=APPS):
        # It has models, and so cannot be imported before it is installed.
        from cacheops_django.toolbar import CacheopsPanel, _note

        CacheopsPanel.ready()
        yield
        events.listeners.remove(_note)


def panel_for(request: HttpRequest) -> Any:
    from debug_toolbar.toolbar import DebugToolbar

    return DebugToolbar(request, lambda request: None).get_panel_by_id("CacheopsPanel")


def text_of(answer: Any) -> str:
    content: bytes = answer.content
    return content.decode()


def test_the_panel_shows_what_was_asked_and_dropped():
    text = text_of(Client().get("/"))
    assert "2 hits" not in text
    assert "1 hit, 2 misses" in text
    # Where case does not count, a name does not narrow.
    assert connection.vendor == "mysql" or "tags whose name is &lt;b&gt;" in text
    assert "order_by" in text
    assert "toolbar_pages.tag_names" in text
    assert "any of the tags" in text
    assert "<li>tag" in text


def test_it_tells_the_browser_how_long_the_cache_took():
    assert "Cacheops: 1 hits, 2 misses" in Client().get("/").headers["Server-Timing"]


@pytest.mark.django_db(transaction=True)
def test_it_works_on_an_event_loop():
    async def main() -> Any:
        try:
            return await AsyncClient().get("/awaited/")
        finally:
            await sync_to_async(close)()

    answer = asyncio.run(main())
    assert "1 hit, 1 miss" in text_of(answer)


@pytest.fixture
def panel() -> Any:
    return panel_for(RequestFactory().get("/"))


def stats_of(panel: Any) -> dict[str, Any]:
    panel.disable_instrumentation()
    panel.generate_stats(RequestFactory().get("/"), HttpResponse())
    stats: dict[str, Any] = panel.get_stats()
    return stats


def test_a_request_sees_nothing_of_another(panel: Any):
    panel.enable_instrumentation()
    other = threading.Thread(target=events.tell, args=[events.Bypass(model="a.B", op="get", reason="")])
    other.start()
    other.join()
    assert stats_of(panel)["asked"] == []


def test_what_comes_after_the_request_is_not_noted(panel: Any):
    panel.enable_instrumentation()
    panel.disable_instrumentation()
    Tag.objects.count()
    assert stats_of(panel)["asked"] == []


def test_a_miss_that_was_not_stored_says_so(panel: Any, caplog: pytest.LogCaptureFixture):
    panel.enable_instrumentation()
    cached_as(Tag)(threading.Lock)()
    assert [one["says"] for one in stats_of(panel)["asked"]] == ["miss, not stored"]


def test_dropping_everything_is_told(panel: Any):
    panel.enable_instrumentation()
    invalidate_all()
    assert stats_of(panel)["dropped"] == ["everything in the cache"]


def test_an_edit_is_told_with_what_has_changed(panel: Any):
    first, second = (Category.objects.create(title=title) for title in "ab")
    post = Post.objects.create(title="a", category=first)
    list(Post.objects.filter(category=first))
    panel.enable_instrumentation()
    post.category = second
    post.save()
    assert stats_of(panel)["dropped"] == [f"post {post.pk}: category {first.pk} → {second.pk}"]


@pytest.mark.parametrize(
    "made, told",
    [
        ([Change("testapp_tag")], ["all of the tags"]),
        ([Change("testapp_tag", {"id": "1"}), Change("testapp_tag")], ["all of the tags"]),
        ([Change("testapp_tag", {"id": "1", "name": None})], ["tag 1"]),
        (
            [
                Change("testapp_tag", {"id": "1", "name": None}),
                Change("testapp_tag", {"id": "1", "name": "x" * 99}),
            ],
            [f"tag 1: name empty → {'x' * 59}…"],
        ),
        ([Change("testapp_tag", {"name": "a"}), Change("testapp_tag", {"name": "b"})], ["tag", "tag"]),
        ([Change("elsewhere", {"page": "7"})], ["row of elsewhere"]),
        ([Change("testapp_seat", {"hall": "1", "number": "2", "taken": "0"})], ["seat 1, 2"]),
    ],
)
def test_changes_in_words(made: list[Change], told: list[str]):
    assert changes(made) == told


def test_the_panel_is_for_coroutines_too():
    assert panel_for(AsyncRequestFactory().get("/")).enabled
