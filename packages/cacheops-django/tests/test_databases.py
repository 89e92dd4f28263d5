"""Several databases: kept apart unless they are declared copies, and objects know where they were asked from."""

from collections.abc import Callable
from typing import Any

import pytest
from answers import answer, is_cached, is_right, keep, queries
from django.db import transaction
from django.test import override_settings
from testapp.models import Category, Post, Restaurant, Tag

from cacheops_core.testing import Server
from cacheops_django.functions import cached_as
from cacheops_django.invalidation import invalidate_model, invalidate_obj

pytestmark = pytest.mark.django_db(databases=["default", "other"])

AGNOSTIC = {"testapp.*": {"ops": "all", "timeout": 60, "db_agnostic": True}}
REPLICA = {"CACHEOPS_REPLICAS": {"other": "default"}, "CACHEOPS_REPLICA_LAG": 0}

ASKS: dict[str, Callable[[str], Any]] = {
    "a get": lambda using: Tag.objects.using(using).filter(name="a").first(),
    "a list": lambda using: list(Tag.objects.using(using).all()),
    "values": lambda using: list(Tag.objects.using(using).values_list("name", flat=True)),
    "a count": lambda using: Tag.objects.using(using).count(),
    "whether there is one": lambda using: Tag.objects.using(using).filter(name="a").exists(),
    "related rows": lambda using: [
        list(post.tags.all()) for post in Post.objects.using(using).prefetch_related("tags")
    ],
    "a join": lambda using: list(Post.objects.using(using).select_related("category")),
}


class OneRouter:
    """Reads on one database and writes on another."""

    def db_for_read(self, model: Any, **hints: Any) -> str:
        return "other"

    def db_for_write(self, model: Any, **hints: Any) -> str:
        return "default"

    def allow_relation(self, *objects: Any, **hints: Any) -> bool:
        return True


def make(using: str, name: str) -> Tag:
    """Make a post with a tag and a category."""
    category = Category.objects.using(using).create(title=name)
    post = Post.objects.using(using).create(title=name, category=category)
    tag = Tag.objects.using(using).create(name=name)
    post.tags.add(tag)
    return tag


def copy() -> None:
    """Let the other database have the rows that the default one has."""
    for model in (Category, Post, Tag, Post.tags.through):
        model.objects.using("other").nocache().delete()
        model.objects.using("other").bulk_create(list(model.objects.using("default").nocache()))


# Apart


@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)
def test_databases_are_kept_apart(ask: Callable[[str], Any]) -> None:
    # In the original the second database is given the rows of the first.
    make("default", "a")
    make("other", "b")
    make("other", "c")
    for using in ("default", "other"):
        assert is_right(lambda: ask(using))  # noqa: B023
        assert is_right(lambda: ask(using))  # noqa: B023
    assert answer(lambda: ask("default")) != answer(lambda: ask("other"))


@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)
def test_a_write_is_seen_on_its_own_database(ask: Callable[[str], Any]) -> None:
    for using in ("default", "other"):
        tag = make(using, "a")
        answer(lambda: ask(using))  # noqa: B023
        tag.name = "b"
        tag.save()
        assert is_right(lambda: ask(using))  # noqa: B023
        make(using, "d")
        assert is_right(lambda: ask(using))  # noqa: B023


def test_a_write_inside_a_transaction_sends_only_its_own_database_past_the_cache() -> None:
    for using in ("default", "other"):
        make(using, "a")
    answer(Tag.objects.using("default").count)
    with transaction.atomic(using="other"):
        Tag.objects.using("other").create(name="b")
        assert queries(Tag.objects.using("default").count, "default") == 0
        assert answer(Tag.objects.using("other").count) == (int, 2)


def test_objects_know_their_database_and_ask_it_for_more() -> None:
    for using in ("default", "other"):
        make(using, "a")

        def ask() -> list[Post]:
            return list(Post.objects.using(using).select_related("category").prefetch_related("tags"))  # noqa: B023

        keep(ask)
        [post] = ask()
        assert post._state.db == post.category._state.db == post.tags.all()[0]._state.db == using
        post.title = using
        post.save()
        assert Post.objects.using(using).get().title == using


def test_invalidating_by_hand_is_for_the_objects_database_or_the_one_that_is_named() -> None:
    tags = {using: make(using, "a") for using in ("default", "other")}
    drops: list[Callable[[], Any]] = [
        lambda: invalidate_obj(tags["other"]),
        lambda: invalidate_obj(tags["default"], using="other"),
        lambda: invalidate_model(Tag, using="other"),
    ]
    for drop in drops:
        for using in tags:
            answer(Tag.objects.using(using).count)
        drop()
        assert queries(Tag.objects.using("other").count, "other") == 1


def test_a_function_of_a_sample_of_another_database_is_found_by_its_writes() -> None:
    tag = make("other", "a")
    kept = cached_as(Tag.objects.using("other").filter(name="a"))(lambda: Tag.objects.using("other").count())
    keep(kept)
    with override_settings(CACHEOPS_PREFIX=lambda query: f"{query.db}:"):
        keep(kept)
        tag.save()
        assert queries(kept, "other") == 1


# One for all


def test_a_profile_may_say_that_one_answer_is_for_all() -> None:
    with override_settings(CACHEOPS=AGNOSTIC):
        make("default", "a")
        keep(lambda: list(Tag.objects.using("default").all()))
        assert queries(lambda: list(Tag.objects.using("other").all()), "other") == 0
        [tag] = Tag.objects.using("other").all()
        assert tag._state.db == "other"
        [tag] = Tag.objects.using("default").all()
        assert tag._state.db == "default"


@pytest.mark.parametrize("using", ["default", "other"])
def test_an_answer_for_all_is_dropped_by_a_write_to_any(using: str) -> None:
    with override_settings(CACHEOPS=AGNOSTIC):
        make("default", "a")
        keep(Tag.objects.using("default").count)
        Tag.objects.using(using).create(name="b")
        assert not is_cached(Tag.objects.using("default").count)


# Replicas


def test_a_replica_is_given_what_its_primary_has_said() -> None:
    make("default", "a")
    copy()
    with override_settings(**REPLICA):
        for ask in ASKS.values():
            keep(lambda: ask("default"))  # noqa: B023
            assert queries(lambda: ask("other"), "other") == 0  # noqa: B023
            assert is_right(lambda: ask("other"))  # noqa: B023


def test_a_write_to_the_primary_drops_what_its_replica_has_said() -> None:
    tag = make("default", "a")
    copy()
    with override_settings(**REPLICA):
        answer(lambda: list(Tag.objects.using("other").all()))
        assert queries(lambda: list(Tag.objects.using("default").all())) == 0
        tag.name = "b"
        tag.save()
        assert is_right(lambda: list(Tag.objects.using("default").all()))


def test_a_replica_that_is_behind_fills_nothing_that_its_primary_would_be_given() -> None:
    # The story: somebody saves on the primary. A reader asks the replica, which has not heard of it yet. In the
    # original the old rows are stored after the invalidation, for the primary's readers as well.
    tag = make("default", "a")
    copy()
    with override_settings(CACHEOPS_REPLICAS={"other": "default"}, CACHEOPS_REPLICA_LAG=60):
        tag.name = "b"
        tag.save()
        behind = [tag.name for tag in Tag.objects.using("other").all()]
        assert behind == ["a"]
        assert [tag.name for tag in Tag.objects.using("default").all()] == ["b"]
        copy()
        assert [tag.name for tag in Tag.objects.using("other").all()] == ["b"]


def test_stamps_that_are_older_than_the_lag_are_good_enough(cache_server: Server) -> None:
    make("default", "a")
    copy()
    with override_settings(CACHEOPS_REPLICAS={"other": "default"}, CACHEOPS_REPLICA_LAG=0.05):
        answer(Tag.objects.using("other").count)
        with cache_server.client() as client:
            now = lambda: client.time()[0] * 1_000_000 + client.time()[1]  # noqa: E731
            young = now() + 60_000
            while now() < young:
                continue
        keep(Tag.objects.using("other").count)


# Routers


def test_a_router_that_reads_from_a_replica_is_given_what_is_right() -> None:
    make("default", "a")
    copy()
    with override_settings(DATABASE_ROUTERS=["test_databases.OneRouter"], **REPLICA):

        def ask() -> list[Post]:
            return list(Post.objects.select_related("category"))

        answer(ask)
        assert queries(ask, "other") == queries(ask, "default") == 0
        [post] = ask()
        assert post._state.db == "other"
        post.title = "b"
        post.save(using="default")
        copy()
        assert is_right(ask)
        Tag.objects.create(name="new")
        copy()
        assert Tag.objects.filter(name="new").exists()


def test_a_row_of_several_tables_is_tracked_on_its_own_database() -> None:
    for using in ("default", "other"):
        row = Restaurant.objects.using(using).create(name="a", cuisine="a")

        def ask() -> list[Any]:
            return list(Restaurant.objects.using(using).filter(name="a"))  # noqa: B023

        assert is_right(ask)
        assert is_cached(ask)
        row.place_ptr.name = "b"
        row.place_ptr.save()
        assert is_right(ask)
