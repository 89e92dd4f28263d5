"""A prefix that is computed: what is read under it is what a write drops, whatever it depends on."""

import itertools
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from answers import Ask, is_cached, is_right, keep, queries
from asgiref.sync import async_to_sync
from django.http import HttpResponse
from django.template import Context, Engine
from django.test import RequestFactory, override_settings
from testapp.models import Category, Post, Tag

from cacheops_core.errors import CacheMiss, ConfigurationError
from cacheops_core.testing import Server
from cacheops_django import caches, reasons
from cacheops_django.functions import cached, cached_as
from cacheops_django.invalidation import invalidate_all, invalidate_model, invalidate_obj
from cacheops_django.simple import cache
from cacheops_django.views import cached_view_as

pytestmark = pytest.mark.django_db(databases=["default", "other"])

Question = caches.PrefixQuery


@contextmanager
def asked(prefix: Callable[[Question], str]) -> Iterator[list[Question]]:
    """Compute prefixes in this way, and yield the questions."""
    questions: list[Question] = []

    def computed(query: Question) -> str:
        questions.append(query)
        return prefix(query)

    with override_settings(CACHEOPS_PREFIX=computed):
        yield questions


def prefixes(server: Server) -> set[bytes]:
    """Return what the keys of the server begin with."""
    with server.client() as client:
        return {key.partition(b":")[0] for key in client.scan_iter()}


def plain(table: str) -> str:
    """Return a table's name without what no prefix may have."""
    return re.sub(r"[{}:]", "_", table)


PREFIXES: dict[str, Callable[[Question], str]] = {
    "nothing": lambda query: "",
    "one for all": lambda query: "all:",
    "the database": lambda query: f"{query.db}:",
    "the databases": lambda query: "-".join(query.dbs) + ":",
    "the table": lambda query: f"{plain(query.table)}:" if query.tables else "none:",
    "the tables": lambda query: "-".join(map(plain, query.tables)) + ":",
}
"""What a prefix may depend on."""

WRITES: dict[str, Callable[[Tag], Any]] = {
    "a save": lambda tag: tag.save(),
    "a delete": lambda tag: tag.delete(),
    "a create": lambda tag: Tag.objects.create(name="a"),
    "an update": lambda tag: Tag.objects.invalidated_update(name="b"),
    "an object by hand": invalidate_obj,
    "a model by hand": lambda tag: invalidate_model(Tag),
    "everything by hand": lambda tag: invalidate_all(),
}


@pytest.mark.parametrize("prefix", PREFIXES.values(), ids=PREFIXES)
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_write_finds_what_was_read(prefix: Callable[[Question], str], write: Callable[[Tag], Any]) -> None:
    def ask() -> list[Tag]:
        return list(Tag.objects.filter(name="a"))

    with asked(prefix):
        tag = Tag.objects.create(name="a")
        keep(ask)
        write(tag)
        assert is_right(ask)
        keep(ask)
        Tag(pk=tag.pk, name="c").save()
        assert is_right(ask)


def test_the_questions_are_the_same_for_reading_and_for_writing() -> None:
    with asked(PREFIXES["one for all"]) as questions:
        tag = Tag.objects.create(name="a")
        written = {(*question.tables, *question.dbs) for question in questions}
        questions.clear()
        Tag.objects.get(pk=tag.pk)
        assert {(*question.tables, *question.dbs) for question in questions} == written
        assert written == {("testapp_tag", "default")}


def test_tables_and_databases_are_lists_as_they_were() -> None:
    with asked(PREFIXES["one for all"]) as questions:
        Tag.objects.count()
    assert questions[0].tables == ["testapp_tag"]
    assert questions[0].dbs == ["default"]
    assert (questions[0].table, questions[0].db) == ("testapp_tag", "default")


def test_each_database_has_its_own_keys(cache_server: Server) -> None:
    with asked(PREFIXES["the database"]):
        for using in ("default", "other"):
            keep(Tag.objects.using(using).count)
    assert prefixes(cache_server) == {b"default", b"other"}


def test_a_prefix_may_change_from_one_moment_to_the_next() -> None:
    tenant = "one"
    with asked(lambda query: f"{tenant}:"):
        keep(Tag.objects.count)
        tenant = "two"
        assert queries(Tag.objects.count) == 1
        invalidate_all()
        tenant = "one"
        assert is_cached(Tag.objects.count)


def test_tables_of_different_prefixes_are_not_cached_together_and_that_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # In the original the join is kept where a write to one of the two tables does not look.
    category = Category.objects.create(title="a")
    Post.objects.create(title="a", category=category)

    def ask() -> list[Post]:
        return list(Post.objects.filter(category__title="a"))

    caches._warn.cache_clear()
    with asked(PREFIXES["the table"]), caplog.at_level(logging.WARNING, "cacheops"):
        assert queries(ask) == queries(ask) == 1
        category.title = "b"
        category.save()
        assert is_right(ask)
        keep(lambda: list(Category.objects.all()))
    assert len(caplog.messages) == 1
    assert "query.tables" in caplog.messages[0]
    assert any("CACHEOPS_PREFIX must be one" in reason for _, _, reason in reasons.bypasses)


ENGINE = Engine(libraries={"cacheops": "cacheops_django.templatetags.cacheops"})

RESULTS: dict[str, Callable[[Callable[[], Any]], Callable[[], Any]]] = {
    "a function": cached_as(Post, Category),
    "its key": lambda compute: (
        lambda: (
            (function := cached_as(Post, Category, extra="key")(compute)),
            function.key().set("kept"),
            function.key().get(None),
            function.invalidate(),
            function(),
        )
    ),
    "a view": lambda compute: (
        lambda: (
            (view := cached_view_as(Post, Category)(lambda request: HttpResponse(compute()))),
            view.invalidate("http://testserver/"),
            view(RequestFactory().get("/")),
        )
    ),
    "a coroutine function": lambda compute: async_to_sync(cached_as(Post, Category)(awaited(compute))),
    "an async view": lambda compute: (
        lambda: async_to_sync(
            cached_view_as(Post, Category)(awaited(lambda request: HttpResponse(compute())))
        )(RequestFactory().get("/"))
    ),
    "a fragment": lambda compute: (
        lambda: ENGINE.from_string(
            "{% load cacheops %}{% cached_as posts 60 'name' %}{{ compute }}{% endcached_as %}"
        ).render(Context({"posts": Post.objects.filter(category__title="a"), "compute": compute}))
    ),
    "several databases": cached_as(Tag, Tag.objects.using("other")),
}


def awaited(function: Callable[..., Any]) -> Callable[..., Any]:
    async def answer(*args: Any) -> Any:
        return function(*args)

    return answer


@pytest.mark.parametrize("name", RESULTS)
def test_results_of_tables_of_different_prefixes_are_not_kept_and_that_is_said(
    name: str, caplog: pytest.LogCaptureFixture, cache_server: Server
) -> None:
    caches._warn.cache_clear()
    reasons.bypasses.clear()
    numbers = itertools.count(1)
    seen: list[int] = []

    def compute() -> int:
        seen.append(next(numbers))
        return seen[-1]

    prefix = PREFIXES["the database" if name == "several databases" else "the table"]
    with asked(prefix), caplog.at_level(logging.WARNING, "cacheops"):
        for _ in range(3):
            RESULTS[name](compute)()
    assert len(seen) == 3
    assert len(caplog.messages) == 1
    assert "CACHEOPS_PREFIX must be one" in caplog.messages[0]
    assert {reason.kind for _, _, reason in reasons.bypasses} == {"prefixes"}
    assert not prefixes(cache_server)


def test_a_table_is_not_asked_for_where_there_is_none() -> None:
    with asked(lambda query: plain(query.table)):
        with pytest.raises(ConfigurationError, match=r"query\.tables"):
            cache.get("key")
        keep(Tag.objects.count)
        invalidate_all()
        assert queries(Tag.objects.count) == 1


# Functions and values


def test_a_function_that_depends_on_a_table_is_found_by_writes() -> None:
    calls = []

    def ask() -> int:
        calls.append(1)
        return Tag.objects.count()

    kept = cached_as(Tag)(ask)
    for prefix in PREFIXES.values():
        with asked(prefix):
            number = kept()
            assert kept() == number
            Tag.objects.create(name="a")
            assert kept() == number + 1


def test_a_prefix_by_function_is_for_what_no_write_has_to_find(cache_server: Server) -> None:
    def name(query: Question) -> str:
        return f"{query.func.__name__}:" if query.func else "none:"

    with asked(name):
        cached(timeout=60)(lambda: 1)()
        assert prefixes(cache_server) == {b"<lambda>"}
        cached_as(Tag)(lambda: 1)()
        assert prefixes(cache_server) == {b"<lambda>", b"none"}


def test_values_have_the_prefix_of_no_table(cache_server: Server) -> None:
    with asked(PREFIXES["the table"]):
        cache.set("key", 1)
        assert cache.get("key") == 1
        assert prefixes(cache_server) == {b"none"}
    with pytest.raises(CacheMiss):
        cache.get("key")


def test_everything_is_below_all_prefixes(cache_server: Server) -> None:
    asks: list[Ask] = [
        Tag.objects.count,
        lambda: Category.objects.using("other").count(),
        lambda: cache.get("key", None),
    ]
    with cache_server.client() as client:
        client.set("somebody else's", 1)
    with asked(lambda query: f"{query.db}-{'-'.join(map(plain, query.tables))}:"):
        for ask in asks:
            ask()
        cache.set("key", 1)
        assert len(prefixes(cache_server)) == 4
        invalidate_all()
        assert prefixes(cache_server) == {b"somebody else's"}


@pytest.mark.parametrize("wrong", [None, 1, "{a}"])
def test_an_answer_that_is_no_prefix_is_an_error(wrong: Any) -> None:
    with asked(lambda query: wrong), pytest.raises(ConfigurationError, match="prefix must be"):
        Tag.objects.count()
