"""What coroutines ask of querysets: from the cache without a thread, and always what the database would say."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from asgiref.sync import iscoroutinefunction, sync_to_async
from closing import close
from django.db import connection, transaction
from django.db.models import Count, Prefetch, Q, QuerySet
from django.test import override_settings
from testapp.models import Category, Post, Tag

from cacheops_django import async_reads
from cacheops_django.scopes import no_invalidation
from cacheops_django.signals import cache_read

pytestmark = pytest.mark.django_db(transaction=True)

QUESTIONS: dict[str, Callable[[], Awaitable[Any]]] = {
    "get": lambda: Tag.objects.aget(name="a"),
    "get by an object": lambda: Tag.objects.aget(Q(name="a") | Q(name__in=["a", "x"])),
    "first": lambda: Tag.objects.order_by("name").afirst(),
    "last": lambda: Tag.objects.order_by("name").alast(),
    "earliest": lambda: Tag.objects.aearliest("name"),
    "latest": lambda: Tag.objects.alatest("name"),
    "count": Tag.objects.acount,
    "exists": lambda: Tag.objects.filter(name="a").aexists(),
    "aggregate": lambda: Tag.objects.aaggregate(Count("pk"), most=Count("name")),
    "contains": lambda: contains(1),
    "rows": lambda: rows(Tag.objects.order_by("name")),
    "slice": lambda: rows(Tag.objects.order_by("name")[:1]),
    "values": lambda: rows(Tag.objects.order_by("name").values_list("name", flat=True)),
    "prefetch": lambda: prefetched(Post.objects.prefetch_related("tags", "category").order_by("pk")),
    "prefetch by a queryset": lambda: prefetched(
        Post.objects.prefetch_related("category", Prefetch("tags", Tag.objects.order_by("-name"))).order_by(
            "pk"
        )
    ),
}


async def rows(queryset: Any) -> list[Any]:
    return [row async for row in queryset]


async def contains(pk: int) -> bool:
    return await Tag.objects.acontains(Tag(pk=pk))


async def prefetched(queryset: Any) -> list[Any]:
    return [
        (post.title, post.category.title, [tag.name for tag in post.tags.all()]) async for post in queryset
    ]


@pytest.fixture
def in_thread(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """How often the database's thread was asked."""
    asked: list[Any] = []
    submit = asyncio.BaseEventLoop.run_in_executor

    def noting(loop: Any, executor: Any, func: Any, *args: Any) -> Any:
        asked.append(func)
        return submit(loop, executor, func, *args)

    monkeypatch.setattr(asyncio.BaseEventLoop, "run_in_executor", noting)
    return asked


def run(main: Callable[[], Awaitable[Any]]) -> Any:
    """Run a coroutine on a loop of its own, and close the connection of the thread that Django used for it."""

    async def closing() -> Any:
        try:
            return await main()
        finally:
            await sync_to_async(close)()

    return asyncio.run(closing())


@pytest.fixture
def _some_rows() -> None:
    category = Category.objects.create(title="c")
    for name in ("a", "b"):
        tag = Tag.objects.create(name=name)
        post = Post.objects.create(title=name, category=category)
        post.tags.set([tag])


@pytest.mark.usefixtures("_some_rows")
@pytest.mark.parametrize("ask", QUESTIONS.values(), ids=QUESTIONS)
def test_a_hit_takes_no_thread_and_is_what_the_database_says(in_thread: list[Any], ask: Any) -> None:
    async def main() -> tuple[Any, Any, Any]:
        first = await ask()
        assert in_thread
        await ask()  # of a cluster, this is the first answer of each server
        in_thread.clear()
        second = await ask()
        assert in_thread == []
        with override_settings(CACHEOPS_ENABLED=False):
            return first, second, await ask()

    first, second, uncached = run(main)
    assert first == second == uncached


@pytest.mark.usefixtures("_some_rows")
@pytest.mark.parametrize("ask", QUESTIONS.values(), ids=QUESTIONS)
def test_a_write_is_seen_at_once(ask: Any) -> None:
    async def main() -> tuple[Any, Any]:
        await ask()
        await ask()
        await Tag.objects.all().adelete()
        await Tag.objects.acreate(name="a")
        post = await Post.objects.nocache().afirst()
        assert post is not None
        await post.tags.aadd(await Tag.objects.nocache().aget())
        found = await ask()
        with override_settings(CACHEOPS_ENABLED=False):
            return found, await ask()

    found, uncached = run(main)
    assert found == uncached


def test_an_error_is_djangos_own(in_thread: list[Any]) -> None:
    async def main() -> None:
        for _ in range(4):
            with pytest.raises(Tag.DoesNotExist):
                await Tag.objects.aget(name="missing")
        assert len(in_thread) <= 2  # on a cluster also for the first answer of each server

    run(main)


def test_what_an_open_transaction_has_written_is_seen_in_it_and_by_nobody_else() -> None:
    async def main() -> None:
        assert await Tag.objects.acount() == 0
        await sync_to_async(begin)()
        await Tag.objects.acreate(name="mine")
        assert await Tag.objects.acount() == 1
        await sync_to_async(roll_back)()
        assert await Tag.objects.acount() == 0

    run(main)


def begin() -> None:
    connection.set_autocommit(False)


def roll_back() -> None:
    transaction.rollback()
    connection.set_autocommit(True)


@pytest.mark.usefixtures("_some_rows")
def test_an_iterator_is_read_once() -> None:
    async def main() -> list[int]:
        found = []
        for _ in range(3):
            names = (name for name in ("a", "b"))
            found.append(await counted(names))
        return found

    async def counted(names: Any) -> int:
        tag = await Tag.objects.order_by("name").aget(Q(name__in=names) & Q(name="a"))
        return len(tag.name)

    assert run(main) == [1, 1, 1]


def test_tasks_side_by_side_are_answered_each_for_itself(in_thread: list[Any]) -> None:
    async def one(name: str) -> str:
        tag = await Tag.objects.aget(name=name)
        with no_invalidation:
            await asyncio.sleep(0)
        return tag.name

    async def main() -> list[str]:
        names = [str(number) for number in range(20)]
        for name in names:
            await Tag.objects.acreate(name=name)
        for name in names:
            await one(name)
        in_thread.clear()
        assert await asyncio.gather(*map(one, names)) == names
        assert in_thread == []
        return names

    run(main)


def test_each_look_is_told_once() -> None:
    seen: list[Any] = []

    def note(sender: Any, func: Any, hit: bool, **kwargs: Any) -> None:
        seen.append((sender, hit))

    async def main() -> None:
        await Tag.objects.acount()
        await Tag.objects.acount()

    cache_read.connect(note)
    run(main)
    cache_read.disconnect(note)
    assert seen == [(Tag, False), (Tag, True)]


def test_what_is_not_wanted_is_djangos_own(in_thread: list[Any]) -> None:
    async def main() -> None:
        for _ in range(2):
            await Tag.objects.nocache().acount()
            await rows(Tag.objects.nocache())
        assert len(in_thread) == 4

    run(main)


class CountingQuerySet(QuerySet[Tag]):
    """A project's own, which notes each call."""

    asked = 0

    def get(self, *args: Any, **kwargs: Any) -> Tag:
        type(self).asked += 1
        return super().get(*args, **kwargs)


@pytest.mark.usefixtures("_some_rows")
def test_a_method_of_the_projects_own_is_called_once() -> None:
    async def main() -> None:
        for _ in range(3):
            await CountingQuerySet(Tag).aget(name="a")

    run(main)
    assert CountingQuerySet.asked == 3


def test_a_queryset_remembers_its_rows(in_thread: list[Any]) -> None:
    async def main() -> None:
        queryset = Tag.objects.order_by("pk")
        await rows(queryset)
        in_thread.clear()
        assert await rows(queryset) == []
        assert in_thread == []

    run(main)


def test_methods_stay_coroutine_functions() -> None:
    assert all(map(iscoroutinefunction, (QuerySet.aget, QuerySet.acount, QuerySet.afirst)))
    assert QuerySet.aget.__name__ == "aget"


@pytest.mark.parametrize(
    "arguments, is_so",
    [
        ([1, "a"], True),
        ({"a": [1, {2}]}, True),
        (iter([1]), False),
        ([Q(a=iter("b"))], False),
        ([~Q(Q(a=1))], True),
    ],
    ids=["values", "lists", "iterator", "iterator in a Q", "Q"],
)
def test_iterators_are_found_in_arguments(arguments: Any, is_so: bool) -> None:
    assert async_reads.can_repeat(arguments) is is_so
