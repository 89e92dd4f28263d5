"""`explain` says what the cache would do, by the code that does it, and leaves everything as it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from answers import queries
from django.core.exceptions import FieldError
from django.db import transaction
from django.db.models import Avg, Count
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory, override_settings
from testapp.models import Author, Category, Post, Tag

from cacheops_core.errors import ConfigurationError
from cacheops_django import caches, counters, reasons
from cacheops_django.explaining import METHODS, explain
from cacheops_django.functions import cached, cached_as
from cacheops_django.scopes import no_invalidation
from cacheops_django.views import cached_view_as

pytestmark = pytest.mark.django_db


@pytest.fixture
def category(db: None) -> Category:
    return Category.objects.create(title="a", slug="a")


ASKED: dict[str, tuple[tuple[Any, ...], Callable[[Any], Any]]] = {
    "fetch": ((), list),
    "get": ((), lambda posts: posts.get()),
    "first": ((), lambda posts: posts.first()),
    "last": ((), lambda posts: posts.last()),
    "earliest": (("pk",), lambda posts: posts.earliest("pk")),
    "latest": (("pk",), lambda posts: posts.latest("pk")),
    "count": ((), lambda posts: posts.count()),
    "exists": ((), lambda posts: posts.exists()),
    "contains": ((Post(pk=7),), lambda posts: posts.contains(Post(pk=7))),
    "aggregate": ((Avg("views"),), lambda posts: posts.aggregate(Avg("views"))),
}


def test_all_methods_are_tried():
    assert set(ASKED) == set(METHODS)


@pytest.mark.parametrize("method", ASKED)
def test_it_tells_a_miss_from_a_hit_whatever_is_asked(category: Category, method: str):
    args, ask = ASKED[method]
    Post.objects.create(title="a", category=category)
    posts = Post.objects.filter(category=category)
    assert explain(posts, method, *args).outcome == "miss"
    ask(posts)
    told = explain(posts, method, *args)
    assert (told.asked, told.outcome) == (f"{method} of testapp.Post", "hit")
    assert told.because == "Nothing that it depends on has changed."


def test_it_neither_asks_the_database_nor_changes_anything(category: Category):
    posts, client = Post.objects.filter(category=category), caches.current().driver.client
    list(posts)
    Post.objects.create(title="a", category=category)

    def state() -> Any:
        counted = {name: number for name, number in counters.collect().items() if number}
        return counted, {key: client.dump(key) for key in client.scan_iter()}

    def explained() -> None:
        for told in explain(posts), explain(posts, "count"), explain(Tag.objects, "count"):
            assert told.outcome == "miss"

    before = state()
    assert queries(explained) == 0
    assert state() == before


def test_it_tells_the_key_the_dependencies_the_size_and_the_time_to_live(category: Category):
    posts = Post.objects.filter(category=category).cache(timeout=60)
    list(posts)
    told, client = explain(posts), caches.current().driver.client
    assert told.key is not None
    assert told.size == client.strlen(told.key)
    assert told.timeout == 60
    assert 0 < (told.expires_in or 0) <= 60
    [depends_on] = told.depends_on
    assert depends_on.words == f"posts whose category is {category.pk}"
    assert depends_on.age is not None
    assert client.exists(depends_on.key)
    assert told.query.startswith("SELECT … FROM testapp_post WHERE testapp_post.category_id = %s")


def test_it_names_what_has_changed(category: Category):
    posts = Post.objects.filter(category=category)
    list(posts)
    Post.objects.create(title="a", category=category)
    told = explain(posts)
    assert told.outcome == "miss"
    assert f"a change to posts whose category is {category.pk}" in told.because


def test_it_says_that_an_entry_cannot_be_read(category: Category):
    posts = Post.objects.filter(category=category)
    list(posts)
    key = explain(posts).key
    caches.current().driver.client.set(key, b"garbage")
    assert "cannot be read" in explain(posts).because


def test_it_takes_a_manager_as_all_of_its_rows():
    assert explain(Tag.objects).asked == "fetch of testapp.Tag"


def test_arguments_go_to_the_method():
    Tag.objects.create(name="a")
    Tag.objects.get(name="a")
    assert explain(Tag.objects, "get", name="a").outcome == "hit"


REFUSED: dict[str, tuple[Callable[[], Any], str, str]] = {
    "no profile": (
        lambda: explain(Author.objects), "no profile for testapp.author", 'Add "testapp.author": {"ops": "fetch"',
    ),
    "another op": (
        lambda: explain(Category.objects), 'CACHEOPS["testapp.category"] caches get', 'Add "fetch" to its "ops"',
    ),
    "no op": (lambda: explain(Post.objects), "caches nothing by itself", "ask for it with .cache()"),
    "nocache": (lambda: explain(Tag.objects.nocache()), "asks to go past the cache", "Leave nocache() out"),
    "ops of cache": (lambda: explain(Post.objects.cache(ops="get")), "asked for get only", 'Add "fetch" to'),
    "time": (lambda: explain(Tag.objects.annotate(now=Now())), "Now", "pass it in"),
    "chance": (lambda: explain(Tag.objects.order_by("?")), "order_by", "Compute the value in Python"),
    "locks": (lambda: explain(Tag.objects.select_for_update()), "asks for locks", "Leave select_for_update()"),
    "nothing": (lambda: explain(Tag.objects.none()), "without asking", ""),
}  # fmt: skip


@pytest.mark.parametrize("refused", REFUSED)
def test_it_says_why_something_is_never_cached_and_what_to_change(refused: str):
    ask, because, remedy = REFUSED[refused]
    profiles = {
        "testapp.tag": {"ops": "all", "timeout": 60},
        "testapp.category": {"ops": "get", "timeout": 60},
        "testapp.post": {"timeout": 60},
    }
    with override_settings(CACHEOPS=profiles):
        told = ask()
    assert told.outcome == "never"
    assert because in told.because
    assert remedy in told.remedy


@override_settings(CACHEOPS_ENABLED=False)
def test_it_says_that_the_cache_is_turned_off():
    assert explain(Tag.objects).because == "CACHEOPS_ENABLED is False."


@pytest.mark.django_db(transaction=True)
def test_it_says_that_the_open_transaction_has_written():
    with transaction.atomic():
        Tag.objects.create(name="a")
        assert "open transaction has written" in explain(Tag.objects).because


def test_refusals_are_not_counted():
    explain(Tag.objects.order_by("?"))
    assert not reasons.bypasses


def test_what_cannot_be_asked_is_an_error():
    with pytest.raises(FieldError, match="Cannot resolve"):
        explain(Tag.objects, "aggregate", Count("nothing"))


def test_it_says_that_the_cache_is_only_written_to():
    posts = Tag.objects.all().cache(write_only=True)
    list(posts)
    told = explain(posts)
    assert (told.outcome, told.size is not None) == ("miss", True)
    assert "write_only" in told.because


# Functions and views


@cached_as(Tag, timeout=60)
def names(first: str) -> list[str]:
    return [first]


@cached(timeout=60)
def double(number: int) -> int:
    return 2 * number


@cached_as(Tag.objects.order_by("?"), timeout=60)
def chance() -> int:
    return 7


@cached_view_as(Tag, timeout=60)
def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse("page")


@pytest.mark.parametrize("func, args", [(names, ("a",)), (double, (2,))], ids=["cached_as", "cached"])
def test_it_explains_a_call(func: Any, args: tuple[Any, ...]):
    assert explain(func, *args).outcome == "miss"
    func(*args)
    told = explain(func, *args)
    assert (told.asked, told.outcome, told.timeout) == (f"{__name__}.{func.__name__}", "hit", 60)
    assert explain(func, "another").outcome == "miss"


def test_the_result_of_a_function_depends_on_its_samples():
    names("a")
    assert [depends_on.words for depends_on in explain(names, "a").depends_on] == ["any of the tags"]
    assert explain(double, 2).depends_on == ()


def test_it_says_why_the_results_of_a_function_are_not_kept():
    told = explain(chance)
    assert (told.outcome, "Compute the value" in told.remedy) == ("never", True)


@pytest.mark.django_db(transaction=True)
def test_it_says_that_the_open_transaction_has_written_to_a_sample():
    with transaction.atomic():
        Tag.objects.create(name="a")
        assert "open transaction has written" in explain(names, "a").because


@override_settings(ALLOWED_HOSTS=["testserver"])
def test_it_explains_a_view():
    request = RequestFactory().get("/")
    page(request)
    told = explain(page, request)
    assert (told.asked, told.outcome) == (f"{__name__}.page", "hit")
    assert [depends_on.words for depends_on in told.depends_on][-1] == "any of the tags"


@override_settings(ALLOWED_HOSTS=["testserver"])
@pytest.mark.parametrize(
    "request_, because",
    [
        (RequestFactory().post("/"), "GET and HEAD"),
        (RequestFactory().get("/", headers={"Authorization": "Basic Og=="}), "credentials"),
    ],
    ids=["post", "credentials"],
)
def test_it_says_why_the_answer_to_a_request_is_not_cached(request_: HttpRequest, because: str):
    assert because in explain(page, request_).because


@pytest.mark.parametrize("subject", [Tag, "testapp.Tag", len], ids=["model", "text", "function"])
def test_it_says_what_it_can_explain(subject: Any):
    with pytest.raises(ConfigurationError, match="needs a queryset, or a function"):
        explain(subject)


def test_it_says_what_can_be_asked():
    with pytest.raises(ConfigurationError, match=r"must be one of fetch, get.*got 'delete'"):
        explain(Tag.objects, "delete")


# What is printed


def test_it_reads_as_text(category: Category):
    list(Post.objects.filter(category=category))
    lines = str(explain(Post.objects.filter(category=category))).splitlines()
    assert lines[0] == "fetch of testapp.Post: a hit"
    assert lines[1] == "  because    Nothing that it depends on has changed."
    assert lines[3].startswith("  key        cacheops:e:")
    assert lines[4].startswith(f"  depends on posts whose category is {category.pk} (unchanged for ")
    assert lines[5] == "  kept for   10 min"
    assert " bytes, for another " in lines[6]


def test_what_is_never_cached_reads_as_text():
    assert str(explain(Tag.objects.nocache())).splitlines() == [
        "fetch of testapp.Tag: not cached",
        "  because    The queryset asks to go past the cache.",
        "  to do      Leave nocache() out.",
    ]


def test_a_change_that_nobody_was_told_of_leaves_a_hit():
    list(Tag.objects.all())
    with no_invalidation:
        Tag.objects.create(name="a")
    assert explain(Tag.objects).outcome == "hit"
