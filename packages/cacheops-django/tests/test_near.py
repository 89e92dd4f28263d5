"""Results that are kept in the process: asked of nobody, dropped by each write, and fresh objects all the same."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from answers import Ask, answer, is_right, uncached
from copies import keeping_copies
from django.db import transaction
from django.db.models import Max
from django.template import Context, Engine
from django.test import override_settings
from numbering import go_on_counting
from testapp.models import Category, Everything, Post, Tag

from cacheops_core.testing import count_round_trips
from cacheops_django import caches, counters, tables
from cacheops_django.fragments import invalidate_fragment
from cacheops_django.functions import cached, cached_as

NEAR = {"ops": "all", "timeout": 600, "near": True}
PROFILES = {"testapp.*": NEAR, "*.*": {"timeout": 600}}


@pytest.fixture(autouse=True)
def _rows(db: None) -> None:
    category = Category.objects.create(pk=1, title="c")
    post = Post.objects.create(pk=1, title="p", category=category, views=1)
    post.tags.create(pk=1, name="t")
    Everything.objects.create(pk=1, data={"k": [1]}, slug="s")
    go_on_counting()


@pytest.fixture(autouse=True)
def near() -> Iterator[Callable[[Any], None]]:
    """Turn copies on; what this returns does so with other profiles."""
    with ExitStack() as stack:
        stack.enter_context(keeping_copies(PROFILES))
        yield lambda profiles: stack.enter_context(keeping_copies(profiles))


def trips(ask: Ask) -> list[tuple[str, ...]]:
    with count_round_trips(caches.current().driver.client) as counted:
        answer(ask)
    return counted.sent


def is_near(ask: Ask) -> bool:
    """Tell whether an answer that was asked for just before is this process's own."""
    answer(ask)
    return trips(ask) == []


ENGINE = Engine(libraries={"cacheops": "cacheops_django.templatetags.cacheops"})
FRAGMENT = ENGINE.from_string(
    "{% load cacheops %}{% cached_as posts 60 'f' %}{{ posts.count }}{% endcached_as %}"
)


def fragment() -> str:
    return FRAGMENT.render(Context({"posts": Post.objects.all()}))


@cached_as(Post)
def titles() -> list[str]:
    return sorted(Post.objects.values_list("title", flat=True))


ASKS: dict[str, Ask] = {
    "get": lambda: Post.objects.get(pk=1),
    "get by conditions": lambda: Post.objects.filter(title="p").get(),
    "first": lambda: Post.objects.order_by("pk").first(),
    "a reference": lambda: Post.objects.get(pk=1).category,
    "rows": lambda: list(Post.objects.all()),
    "a join": lambda: list(Post.objects.select_related("category")),
    "prefetched": lambda: list(Post.objects.prefetch_related("tags")),
    "values": lambda: list(Post.objects.values("title", "views")),
    "values_list": lambda: list(Post.objects.values_list("title")),
    "flat": lambda: list(Post.objects.values_list("title", flat=True)),
    "named": lambda: list(Post.objects.values_list("title", "views", named=True)),
    "every type": lambda: list(Everything.objects.all()),
    "count": lambda: Post.objects.filter(views__gt=0).count(),
    "exists": lambda: Post.objects.filter(views=1).exists(),
    "aggregate": lambda: Post.objects.aggregate(Max("views")),
    "cached_as": titles,
    "a fragment": fragment,
}

every = pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)


@every
def test_nobody_is_asked_again(ask: Ask) -> None:
    assert is_near(ask)
    assert is_right(ask)


@every
def test_own_writes_are_seen_at_once(ask: Ask) -> None:
    is_near(ask)
    for change in (
        lambda: Post(pk=1, title="new", views=7, category_id=1).save(),
        lambda: Category(pk=1, title="new").save(),
        lambda: Post.objects.get(pk=1).tags.add(Tag.objects.create(name="new")),
        lambda: Everything(pk=1, data={"k": [2]}).save(),
        lambda: Post.objects.filter(pk=1).delete(),
    ):
        is_near(ask)
        change()
        assert is_right(ask)


@pytest.mark.django_db(transaction=True)
@every
def test_an_open_transaction_sees_what_it_has_written(ask: Ask) -> None:
    is_near(ask)
    before = answer(ask)
    with transaction.atomic():
        Post(pk=1, title="mine", views=7, category_id=1).save()
        Category(pk=1, title="mine").save()
        Everything(pk=1, data={"k": [2]}).save()
        assert is_right(ask)
        transaction.set_rollback(True)
    assert answer(ask) == before


def test_objects_are_new_each_time() -> None:
    def data() -> Any:
        return Everything.objects.get(pk=1).data

    assert is_near(data)
    data()["k"].append("mine")
    assert data() == {"k": [1]}
    assert Post.objects.get(pk=1) is not Post.objects.get(pk=1)


def test_lists_of_values_are_new_each_time() -> None:
    def values() -> Any:
        return list(Everything.objects.values("slug", "data"))

    assert is_near(values)
    values()[0]["data"]["k"].append("mine")
    values()[0]["slug"] = "mine"
    assert values() == [{"slug": "s", "data": {"k": [1]}}]


def test_what_is_not_there_is_known(near: Any) -> None:
    def get() -> Tag:
        return Tag.objects.get(pk=99)

    assert is_near(get)
    assert answer(get) is Tag.DoesNotExist
    Tag.objects.create(pk=99, name="new")
    assert get().name == "new"


def test_no_model_is_seen_late_that_has_not_asked_for_it(near: Any) -> None:
    near({"testapp.post": NEAR, "*.*": {"ops": "all", "timeout": 600}})
    assert is_near(lambda: list(Post.objects.all()))
    assert not is_near(lambda: list(Post.objects.select_related("category")))
    assert not is_near(lambda: list(Category.objects.all()))
    assert not is_near(lambda: Post.objects.filter(category__title="c").count())


def test_the_table_of_a_relation_is_its_models(near: Any) -> None:
    near({"testapp.post": NEAR, "testapp.tag": NEAR, "*.*": {"ops": "all", "timeout": 600}})
    assert is_near(lambda: list(Post.objects.filter(tags__name="t")))


def test_local_get_is_for_gets_alone(near: Any) -> None:
    near({"testapp.*": {"ops": "all", "timeout": 600, "local_get": True}, "*.*": {"timeout": 600}})
    assert is_near(lambda: Post.objects.get(pk=1))
    assert is_near(lambda: Post.objects.filter(title="p").get())
    assert not is_near(lambda: list(Post.objects.all()))
    assert not is_near(titles)


@pytest.mark.parametrize("name", ["", "testapp_nothing"])
def test_a_table_of_no_model_is_not_kept(name: str) -> None:
    assert not tables.are_near([name], "fetch")


calls: list[int] = []


@cached(near=True)
def noted(number: int) -> int:
    calls.append(number)
    return number


def test_functions_may_be_kept_that_depend_on_nothing() -> None:
    calls.clear()
    assert is_near(lambda: noted(1))
    noted.invalidate(1)
    noted(1)
    assert calls == [1, 1]


def test_a_result_that_was_set_is_seen_at_once() -> None:
    assert is_near(titles)
    titles.key().set(["mine"])
    assert titles() == ["mine"]
    assert titles.key().get() == ["mine"]


def test_a_function_may_want_copies_though_the_profiles_do_not(near: Any) -> None:
    near({"*.*": {"ops": "all", "timeout": 600}})
    assert is_near(cached_as(Post, near=True)(titles.__wrapped__))
    assert not is_near(cached_as(Post)(titles.__wrapped__))


def test_fragments_are_dropped_by_name() -> None:
    template = ENGINE.from_string("{% load cacheops %}{% cached 60 'f' near=True %}{{ x }}{% endcached %}")

    def text(x: int) -> str:
        return template.render(Context({"x": x}))

    assert is_near(lambda: text(1))
    assert text(2) == "1"
    invalidate_fragment("f")
    assert text(3) == "3"


def test_what_is_to_be_written_only_is_read_from_the_database() -> None:
    def rows() -> Any:
        return list(Post.objects.cache(write_only=True))

    assert is_near(lambda: list(Post.objects.all()))
    assert ("SET",) in [names[:1] for names in trips(rows)]


def test_where_nothing_is_cached_nobody_has_copies() -> None:
    assert is_near(titles)
    Post.objects.filter(pk=1).update(title="new")
    assert titles() == ["p"]
    with override_settings(CACHEOPS_ENABLED=False):
        assert titles() == ["new"]


def test_locks_are_not_asked_for_copies(near: Any) -> None:
    near({"testapp.*": {**NEAR, "lock": True, "stale": 5}})
    assert is_near(lambda: list(Post.objects.all()))
    assert is_near(lambda: Post.objects.get(pk=1))


def test_hits_are_counted() -> None:
    assert is_near(lambda: Post.objects.get(pk=1))
    counters.reset()
    answer(lambda: Post.objects.get(pk=1))
    assert counters.collect()["testapp.Post", "get", "hits"] == 1


@pytest.mark.django_db(transaction=True)
def test_coroutines_have_the_same_copies() -> None:
    async def ask() -> list[Any]:
        return [
            (await Post.objects.aget(pk=1)).title,
            [post.title async for post in Post.objects.all()],
            await Post.objects.acount(),
        ]

    assert is_near(lambda: [Post.objects.get(pk=1), list(Post.objects.all()), Post.objects.count()])
    assert trips(lambda: asyncio.run(ask())) == []
    assert answer(lambda: asyncio.run(ask())) == uncached(lambda: ["p", ["p"], 1])
