"""Functions whose results are kept: under which key, until when, and what transactions have to do with it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from functools import partial, wraps
from typing import Any

import pytest
from asgiref.sync import async_to_sync, iscoroutinefunction, sync_to_async
from closing import close
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction
from django.test import TestCase, override_settings
from django.utils.functional import SimpleLazyObject
from django.utils.translation import get_language, gettext_lazy, override
from testapp.models import Author, Category, Post, Seat, Tag

from cacheops_core.errors import CacheMiss, ConfigurationError, KeyingError
from cacheops_django import caches, reasons
from cacheops_django.functions import cached, cached_as
from cacheops_django.signals import cache_read

calls: list[Any] = []
entered, leave = threading.Event(), threading.Event()
"""The second caller is in, and may get on: not closed over, for what has no stable key cannot be."""


@pytest.fixture(autouse=True)
def _no_calls(db: None) -> None:
    calls.clear()
    entered.clear()
    leave.clear()


@pytest.fixture
def looks() -> Iterator[list[Any]]:
    seen: list[Any] = []

    def note(sender: Any, func: Any, hit: bool, **kwargs: Any) -> None:
        seen.append((sender, getattr(func, "__name__", func), hit))

    cache_read.connect(note)
    yield seen
    cache_read.disconnect(note)


@cached_as(Tag)
def tag_names() -> list[str]:
    calls.append("tag_names")
    return [*Tag.objects.nocache().values_list("name", flat=True)]


@cached(timeout=60)
def doubled(number: Any, factor: Any = 2) -> Any:
    calls.append(number)
    return number * factor


@cached_as(Tag)
async def tag_names_async() -> list[str]:
    calls.append("tag_names_async")
    return [name async for name in Tag.objects.nocache().values_list("name", flat=True)]


@cached(timeout=60)
async def doubled_async(number: int) -> int:
    calls.append(number)
    return number * 2


class Shop:
    """Methods of every kind."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __cache_key__(self) -> str:
        return self.name

    @cached(timeout=60)
    def sign(self, suffix: str = "") -> str:
        calls.append(self.name)
        return self.name + suffix

    @cached_as(Tag)
    def tags(self) -> str:
        calls.append(self.name)
        return f"{self.name} {Tag.objects.nocache().count()}"

    @cached(timeout=60)
    @classmethod
    def kind(cls) -> str:
        calls.append(cls.__name__)
        return cls.__name__

    @cached(timeout=60)
    @staticmethod
    def rules() -> str:
        calls.append("rules")
        return "none"


class Bakery(Shop):
    """A class of its own."""


# cached_as: what drops a result


@pytest.mark.django_db
def test_a_result_is_kept_until_its_model_changes() -> None:
    assert (tag_names(), tag_names()) == ([], [])
    assert calls == ["tag_names"]
    Tag.objects.create(name="new")
    assert tag_names() == ["new"]


@pytest.mark.django_db
def test_a_result_that_depends_on_a_queryset_is_dropped_by_its_rows_alone() -> None:
    red = Tag.objects.create(name="red")
    pk = red.pk

    @cached_as(Tag.objects.filter(pk=pk))
    def count_red() -> int:
        calls.append("red")
        return Tag.objects.nocache().filter(pk=pk).count()

    assert count_red() == 1
    Tag.objects.create(name="blue")
    assert (count_red(), calls) == (1, ["red"])
    red.delete()
    assert count_red() == 0


@pytest.mark.django_db
def test_a_result_that_depends_on_an_object_is_dropped_by_it_alone() -> None:
    one, other = Tag.objects.create(name="one"), Tag.objects.create(name="other")

    @cached_as(one)
    def name() -> str:
        return Tag.objects.nocache().get(pk=one.pk).name + str(len(calls))

    assert name() == "one0"
    calls.append("changed")
    other.save()
    assert name() == "one0"
    one.save()
    assert name() == "one1"


@pytest.mark.django_db
def test_an_object_known_by_two_columns_will_do() -> None:
    seat, other = Seat.objects.create(hall=1, number=2), Seat.objects.create(hall=1, number=3)
    taken = cached_as(seat)(lambda: len(calls))
    assert taken() == 0
    calls.append("changed")
    other.save()
    assert taken() == 0
    seat.save()
    assert taken() == 1


@pytest.mark.django_db
def test_samples_of_all_kinds_can_be_mixed() -> None:
    category = Category.objects.create(title="c")
    mixed = cached_as(Tag, Post.objects.filter(visible=True), category, Author.objects)(lambda: len(calls))
    assert mixed() == 0
    for change in (
        lambda: Tag.objects.create(name="t"),
        lambda: Post.objects.create(title="p", category=category),
        category.save,
        lambda: Author.objects.create(name="a"),
    ):
        calls.append("changed")
        assert mixed() == len(calls) - 1
        change()
        assert mixed() == len(calls)
    Post.objects.create(title="hidden", category=category, visible=False)
    calls.append("unseen")
    assert mixed() == len(calls) - 1


@pytest.mark.django_db
def test_what_is_computed_while_its_sample_changes_is_not_kept() -> None:
    @cached_as(Tag)
    def count() -> int:
        found = Tag.objects.nocache().count()
        if not found:
            Tag.objects.create(name="meanwhile")
        return found

    assert (count(), count(), count()) == (0, 1, 1)


@pytest.mark.django_db
def test_the_least_timeout_of_the_profiles_is_taken() -> None:
    profiles = {
        "testapp.tag": {"timeout": 600},
        "testapp.post": {"timeout": 60},
        "testapp.author": {"timeout": None},
    }
    with override_settings(CACHEOPS=profiles):
        assert timeout_of(cached_as(Tag, Post)) == 60
        assert timeout_of(cached_as(Tag, Author)) == 600
        assert timeout_of(cached_as(Author)) is None
        assert timeout_of(cached_as(Tag, timeout=None)) == 600
        assert timeout_of(cached_as(Tag, timeout=timedelta(seconds=5))) == 5
        assert timeout_of(cached_as(Tag.objects.cache(timeout=7), Post)) == 7


def timeout_of(decorate: Any) -> Any:
    return decorate(len)._policy.cache.results.timeout()


@pytest.mark.django_db
def test_what_cannot_be_followed_is_not_kept_and_says_why() -> None:
    count = cached_as(Tag.objects.order_by("?"))(lambda: calls.append("called"))
    count()
    count()
    assert calls == ["called", "called"]
    assert [(label, op) for label, op, _ in reasons.bypasses] == [("testapp.Tag", "cached_as")]


@pytest.mark.django_db
def test_a_sample_that_the_settings_forbid_is_not_kept() -> None:
    with override_settings(CACHEOPS={"testapp.tag": None}):
        names = (tag_names(), tag_names())
    assert (names, len(calls)) == (([], []), 2)


@pytest.mark.django_db
def test_disabled_it_is_the_function_alone() -> None:
    unkeyable = cached(timeout=60)(lambda value: calls.append("called"))
    with override_settings(CACHEOPS_ENABLED=False):
        tag_names()
        tag_names()
        unkeyable(object())
    assert calls == ["tag_names", "tag_names", "called"]


@pytest.mark.django_db
def test_turned_on_again_nothing_is_stale() -> None:
    tag_names()
    with override_settings(CACHEOPS_ENABLED=False):
        Tag.objects.create(name="new")
    assert tag_names() == ["new"]


# Keys


@pytest.mark.django_db
@pytest.mark.parametrize(
    "one, other",
    [
        pytest.param((1,), ("1",), id="text"),
        pytest.param((1,), (1.0,), id="float"),
        pytest.param((1,), (True,), id="bool"),
        pytest.param((1,), (Decimal(1),), id="decimal"),
        pytest.param((1, 2), (1, 3), id="default"),
        pytest.param(([1],), ((1,),), id="container"),
    ],
)
def test_calls_that_differ_have_results_of_their_own(one: Any, other: Any) -> None:
    doubled(*one)
    doubled(*other)
    assert len(calls) == 2


@pytest.mark.django_db
def test_one_call_has_one_result_however_it_is_written() -> None:
    assert {doubled(4), doubled(number=4), doubled(4, 2), doubled(factor=2, number=4)} == {8}
    assert calls == [4]


@pytest.mark.django_db
def test_functions_are_told_apart_by_what_they_close_over() -> None:
    def times(factor: int) -> Callable[[int], int]:
        @cached(timeout=60)
        def multiply(number: int) -> int:
            calls.append(number)
            return number * factor

        return multiply

    assert (times(2)(5), times(3)(5), times(2)(5)) == (10, 15, 10)
    assert calls == [5, 5]


@pytest.mark.django_db
def test_querysets_that_are_closed_over_are_told_apart() -> None:
    Tag.objects.create(name="a")

    def names(name: str) -> list[str]:
        found = Tag.objects.filter(name=name)

        @cached_as(found)
        def listed() -> list[str]:
            calls.append(name)
            return [tag.name for tag in found.nocache()]

        return listed()

    assert [names("a"), names("b"), names("a")] == [["a"], [], ["a"]]
    assert calls == ["a", "b"]


@pytest.mark.django_db
def test_extra_tells_results_apart() -> None:
    def with_extra(extra: Any) -> int:
        return cached(timeout=60, extra=extra)(noting)()

    assert (with_extra(1), with_extra("1"), with_extra(1)) == (1, 2, 1)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "decorate", [partial(cached, timeout=60), partial(cached_as, Tag)], ids=["cached", "cached_as"]
)
def test_a_function_as_extra_is_asked_at_each_call(decorate: Callable[..., Any]) -> None:
    greet = decorate(extra=get_language)(greeting)
    shout = decorate(extra=lambda name, loud=False: loud)(greeting)
    with override("en"):
        assert [greet(), greet()] == ["hello 1", "hello 1"]
        assert greet.invalidate()
        assert greet() == "hello 2"
    with override("de"):
        assert greet() == "hallo 3"
        assert [shout("x"), shout(name="x"), shout("x", loud=True)] == ["hallo 4", "hallo 4", "hallo 5"]


@pytest.mark.django_db
def test_a_function_as_extra_is_asked_for_coroutines_too() -> None:
    asked = cached(timeout=60, extra=get_language)(greeting_async)

    async def in_two_languages() -> list[str]:
        found = []
        for language in ("en", "de", "en"):
            with override(language):
                found.append(await asked())
        return found

    assert async_to_sync(in_two_languages)() == ["hello 1", "hallo 2", "hello 1"]


def greeting(name: str = "", loud: bool = False) -> str:
    calls.append("greeting")
    return f"{'hallo' if get_language() == 'de' else 'hello'} {len(calls)}"


async def greeting_async() -> str:
    return greeting()


@pytest.mark.django_db
@pytest.mark.parametrize("timeout", [60, timedelta(minutes=1)], ids=["number", "timedelta"])
def test_the_timeout_may_come_first(timeout: Any) -> None:
    double: Any = cached(timeout)(doubled.__wrapped__)
    assert [double(2), double(2)] == [4, 4]
    assert calls == [2]
    assert double.key(2)._policy.cache.results.timeout() == timedelta(minutes=1).total_seconds()


@pytest.mark.django_db
def test_extra_may_come_after_the_timeout() -> None:
    one, same, other = (cached(60, extra)(doubled.__wrapped__) for extra in ("a", "a", "b"))
    assert [one(2), same(2), other(2)] == [4, 4, 4]
    assert calls == [2, 2]


@pytest.mark.django_db
def test_decorators_above_hand_on_what_a_cached_function_can() -> None:
    @wraps(doubled)
    def above(*args: Any) -> Any:
        return doubled(*args)

    assert above(4) == 8
    assert above.invalidate(4)  # type: ignore[attr-defined]
    above.key(4).set(9)  # type: ignore[attr-defined]
    assert above(4) == 9
    async_to_sync(above.ainvalidate)(4)  # type: ignore[attr-defined]
    assert above(4) == 8


@pytest.mark.django_db
def test_a_result_that_depends_on_a_list_is_computed_each_time() -> None:
    # As a paginator's page has one where it is empty.
    of_list: Any = cached_as(Tag, [], timeout=60)(noting)
    assert [of_list(), of_list()] == [1, 2]
    assert not of_list.invalidate()
    with pytest.raises(CacheMiss):
        of_list.key().get()


def noting() -> int:
    calls.append("noting")
    return len(calls)


@pytest.mark.django_db
def test_samples_tell_results_apart() -> None:
    first, second = Tag.objects.create(name="1"), Tag.objects.create(name="2")
    assert cached_as(first)(noting)() == 1
    assert cached_as(second)(noting)() == 2
    assert cached_as(Tag)(noting)() == 3
    assert cached_as(first)(noting)() == 1


@pytest.mark.django_db
def test_objects_querysets_and_lazy_texts_can_be_arguments() -> None:
    tag, other = Tag.objects.create(name="a"), Tag.objects.create(name="b")
    shown = cached(timeout=60)(lambda value: calls.append(str(value)))
    for value in (tag, Tag.objects.get(pk=tag.pk), SimpleLazyObject(lambda: tag)):
        shown(value)
    assert len(calls) == 2  # what a lazy object is made of is known, but it is no tag
    shown(other)
    shown(Tag.objects.filter(name="a"))
    shown(Tag.objects.filter(name="a"))
    shown(Tag.objects.filter(name="b"))
    assert len(calls) == 5
    for language in ("en", "de", "en"):
        with override(language):
            shown(gettext_lazy("Monday"))
    assert len(calls) == 7


@pytest.mark.django_db
def test_visitors_who_have_not_logged_in_are_one_unless_something_is_noted_on_them() -> None:
    shown = cached(timeout=60)(lambda visitor: calls.append(str(visitor)))
    noted: Any = AnonymousUser()
    noted.tenant = "a"
    for visitor in (AnonymousUser(), AnonymousUser(), noted, User(pk=1)):
        shown(visitor)
    assert len(calls) == 3


@pytest.mark.django_db
def test_what_has_no_stable_key_raises_at_once_and_says_what_to_do() -> None:
    with pytest.raises(
        KeyingError, match=r'args\["number"\] is a builtins.object, which has no stable key: give'
    ):
        doubled(object())
    with pytest.raises(KeyingError, match=r"testapp\.models\.Tag"):
        doubled(Tag(name="not saved"))
    assert calls == []


# Methods


@pytest.mark.django_db
def test_methods_have_results_by_object() -> None:
    one, other = Shop("one"), Shop("other")
    assert [one.sign(), other.sign(), one.sign(), one.sign("!")] == ["one", "other", "one", "one!"]
    assert calls == ["one", "other", "one"]


@pytest.mark.django_db
def test_a_class_method_has_results_by_class_and_a_static_one_has_its_own() -> None:
    assert [Shop.kind(), Bakery.kind(), Shop("x").kind()] == ["Shop", "Bakery", "Shop"]
    assert (Shop.rules(), Shop("x").rules()) == ("none", "none")
    assert calls == ["Shop", "Bakery", "rules"]


@pytest.mark.django_db
def test_a_methods_result_is_dropped_as_a_functions_is() -> None:
    shop = Shop("s")
    assert (shop.tags(), shop.tags()) == ("s 0", "s 0")
    Tag.objects.create(name="t")
    assert shop.tags() == "s 1"
    shop.tags.invalidate()
    shop.tags()
    assert calls == ["s", "s", "s"]


# By hand


@pytest.mark.django_db
def test_one_calls_result_can_be_dropped() -> None:
    doubled(1)
    doubled(2)
    doubled.invalidate(number=1)
    doubled(1)
    doubled(2)
    assert calls == [1, 2, 1]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "function, arguments", [(doubled, (1,)), (tag_names, ())], ids=["cached", "cached_as"]
)
def test_a_result_can_be_read_set_and_deleted_by_its_key(function: Any, arguments: Any) -> None:
    key = function.key(*arguments)
    with pytest.raises(CacheMiss):
        key.get()
    assert key.get("nothing") == "nothing"
    key.set(["new"])
    assert (function(*arguments), key.get(), calls) == (["new"], ["new"], [])
    assert key.delete() is True
    assert key.delete() is False
    function(*arguments)
    assert len(calls) == 1


@pytest.mark.django_db
def test_a_result_that_was_set_is_dropped_by_its_sample() -> None:
    tag_names.key().set(["set"])
    assert tag_names() == ["set"]
    Tag.objects.create(name="new")
    assert tag_names() == ["new"]


@pytest.mark.django_db
def test_a_result_that_is_none_is_kept() -> None:
    nothing = cached(timeout=60)(lambda: calls.append("called"))
    assert (nothing(), nothing(), len(calls)) == (None, None, 1)


@pytest.mark.django_db
def test_each_hit_returns_an_object_of_its_own() -> None:
    tag_names()
    tag_names().append("mine")
    assert tag_names() == []


# Mistakes


@pytest.mark.parametrize(
    "make, message",
    [
        pytest.param(cached_as, "needs a queryset, a model or an instance", id="none"),
        pytest.param(
            lambda: cached_as("tags"),
            "a sample must be a queryset, a model or an instance, got 'tags'",
            id="text",
        ),
        pytest.param(
            lambda: cached_as(Tag(name="new")), "this testapp.Tag has not been saved", id="not saved"
        ),
        pytest.param(
            lambda: cached_as(Tag, timeout=-1), "timeout must be a number of seconds above 0", id="negative"
        ),
        pytest.param(
            lambda: cached(timeout="60"), "timeout must be a number of seconds", id="text for a time"
        ),
        pytest.param(
            lambda: cached(stale=-1), "stale must be a number of seconds above 0", id="negative stale"
        ),
        pytest.param(lambda: cached("60"), "write cached\\(timeout=...\\)", id="neither function nor time"),
        pytest.param(
            lambda: cached(timeout=60)(iterate), "is a generator, which can be read only once", id="generator"
        ),
    ],
)
def test_a_mistake_is_told_where_it_is_made(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make()


def iterate() -> Iterator[int]:
    yield 1


@pytest.mark.django_db
def test_a_model_without_a_profile_needs_a_timeout() -> None:
    with override_settings(CACHEOPS={}):
        with pytest.raises(
            ImproperlyConfigured, match=r'testapp\.Tag has no profile .* "testapp\.tag": \{"timeout"'
        ):
            tag_names()
        assert cached_as(Tag, timeout=60)(noting)() == 1


# Signals


@pytest.mark.django_db
def test_each_look_is_told_with_the_function(looks: list[Any]) -> None:
    tag_names()
    tag_names()
    Shop("s").sign()
    assert looks == [(None, "tag_names", False), (None, "tag_names", True), (None, "sign", False)]


# Transactions


@pytest.mark.django_db(transaction=True)
def test_a_transaction_sees_its_own_writes_and_keeps_none_of_them() -> None:
    tag_names()
    with transaction.atomic():
        Tag.objects.create(name="mine")
        assert tag_names() == ["mine"]
        assert in_another_thread(tag_names.key().get) == []
        transaction.set_rollback(True)
    assert tag_names() == []


@pytest.mark.django_db(transaction=True)
def test_what_a_transaction_has_not_written_it_is_served() -> None:
    tag_names()
    with transaction.atomic():
        Author.objects.create(name="somebody")
        assert tag_names() == []
    assert calls == ["tag_names"]


@pytest.mark.django_db(transaction=True)
def test_what_is_computed_from_uncommitted_rows_is_not_kept_even_if_no_sample_says_so() -> None:
    authors = cached_as(Tag)(lambda: Author.objects.nocache().count())
    with transaction.atomic():
        Author.objects.create(name="nobody")
        assert authors() == 1
        transaction.set_rollback(True)
    assert authors() == 0


@pytest.mark.django_db(transaction=True)
def test_a_function_that_leaves_rows_uncommitted_is_not_kept() -> None:
    @cached_as(Tag)
    def writing() -> int:
        Tag.objects.create(name="mine")
        return Tag.objects.nocache().count()

    with transaction.atomic():
        assert writing() == 1
        with pytest.raises(CacheMiss):
            in_another_thread(writing.key().get)
        transaction.set_rollback(True)
    assert writing() == 1


@pytest.mark.django_db(transaction=True)
def test_what_a_snapshot_shows_is_not_kept_after_somebody_has_written() -> None:
    with transaction.atomic():
        list(Author.objects.nocache())
        caches.current().invalidate("testapp_tag")
        tag_names()
        is_kept = in_another_thread(tag_names.key().get, None) is not None
    assert is_kept is (connection.vendor != "sqlite")  # on the others, transactions see what others commit


@pytest.mark.django_db(transaction=True)
def test_results_that_depend_on_time_alone_are_kept_in_transactions_too() -> None:
    with transaction.atomic():
        Tag.objects.create(name="mine")
        doubled(3)
        transaction.set_rollback(True)
    doubled(3)
    assert calls == [3]


class InTestCase(TestCase):
    """The transaction around a test counts as none."""

    def test_what_a_test_writes_counts_as_committed(self) -> None:
        tag_names()
        Tag.objects.create(name="mine")
        assert (tag_names(), tag_names()) == (["mine"], ["mine"])
        assert len(calls) == 2

    def test_what_another_test_has_written_is_gone(self) -> None:
        assert tag_names() == []

    async def test_coroutines_too(self) -> None:
        await tag_names_async()
        await Tag.objects.acreate(name="mine")
        assert (await tag_names_async(), await tag_names_async()) == (["mine"], ["mine"])
        assert len(calls) == 2


async def closing(result: Awaitable[Any]) -> Any:
    """Return a result, and close the connection of the thread that Django has used for it."""
    try:
        return await result
    finally:
        await sync_to_async(close)()


def in_another_thread(function: Callable[..., Any], *args: Any) -> Any:
    """Return what a function returns in a thread with a connection of its own, or raise what it raises."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append((function(*args), None))
        except Exception as error:
            outcome.append((None, error))
        finally:
            close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    value, error = outcome[0]
    if error is not None:
        raise error
    return value


# Together


@pytest.mark.django_db
def test_with_a_lock_one_computes_while_the_others_wait() -> None:
    @cached(timeout=60, lock=True)
    def slow() -> int:
        calls.append("slow")
        time.sleep(0.3)
        return 7

    threads = [threading.Thread(target=slow) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (calls, slow()) == (["slow"], 7)


@pytest.mark.django_db
def test_the_profile_may_ask_for_a_lock() -> None:
    results = cached_as(Tag)(len)._policy.cache.results
    assert results._sharing()["lock"] is False
    with override_settings(CACHEOPS={"testapp.tag": {"timeout": 60, "lock": True}}):
        assert results._sharing()["lock"] is True
        assert cached_as(Tag, lock=False)(len)._policy.cache.results._sharing()["lock"] is False


@pytest.mark.django_db(transaction=True)
def test_nobody_in_a_transaction_waits_for_a_lock() -> None:
    # The story: we hold the lock of a row, whoever computes waits for that row, and we would wait for them.
    @cached(timeout=60, lock=True)
    def slow() -> str:
        calls.append("slow")
        if len(calls) == 1:
            entered.set()
            leave.wait(10)
        return "slow"

    other = threading.Thread(target=slow)
    other.start()
    assert entered.wait(10)
    with transaction.atomic():
        assert slow() == "slow"
    leave.set()
    other.join()
    assert len(calls) == 2


@pytest.mark.django_db
def test_with_stale_the_others_get_the_old_result_meanwhile() -> None:
    @cached_as(Tag, stale=60)
    def slow() -> int:
        calls.append("slow")
        if len(calls) == 2:
            entered.set()
            leave.wait(10)
        return len(calls)

    assert slow() == 1
    Tag.objects.create(name="new")
    other = threading.Thread(target=slow)
    other.start()
    assert entered.wait(10)
    assert slow() == 1
    leave.set()
    other.join()
    assert slow() == 2


# Coroutines


@pytest.mark.django_db(transaction=True)
def test_a_coroutine_functions_results_are_kept_and_dropped() -> None:
    assert iscoroutinefunction(tag_names_async)
    assert [async_to_sync(tag_names_async)() for _ in range(2)] == [[], []]
    Tag.objects.create(name="new")
    assert async_to_sync(tag_names_async)() == ["new"]
    assert len(calls) == 2


@pytest.mark.django_db(transaction=True)
def test_a_coroutine_function_is_kept_by_hand_as_any() -> None:
    assert async_to_sync(doubled_async)(2) == 4
    assert async_to_sync(doubled_async)(number=2) == 4
    assert doubled_async.key(2).get() == 4
    assert async_to_sync(doubled_async.ainvalidate)(2) is True
    assert async_to_sync(doubled_async)(2) == 4
    assert calls == [2, 2]


@pytest.mark.django_db(transaction=True)
def test_a_coroutine_sees_the_writes_of_its_callers_transaction_and_keeps_none_of_them() -> None:
    with transaction.atomic():
        Tag.objects.create(name="mine")
        assert async_to_sync(tag_names_async)() == ["mine"]
        with pytest.raises(CacheMiss):
            in_another_thread(tag_names_async.key().get)
        transaction.set_rollback(True)
    assert async_to_sync(tag_names_async)() == []


@pytest.mark.django_db(transaction=True)
def test_coroutines_run_side_by_side_and_the_functions_they_call_may_ask_the_database() -> None:
    async def main() -> list[Any]:
        return await asyncio.gather(*(tag_names_async() for _ in range(5)), doubled_async(1))

    assert async_to_sync(main)() == [[], [], [], [], [], 2]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "run",
    [lambda main: async_to_sync(main)(), lambda main: asyncio.run(closing(main()))],
    ids=["under a thread", "on a loop"],
)
def test_with_a_lock_one_coroutine_computes_while_the_others_wait(run: Any) -> None:
    @cached_as(Tag, lock=True)
    async def slow() -> int:
        calls.append("slow")
        await asyncio.sleep(0.2)
        return await Tag.objects.nocache().acount()

    async def main() -> list[Any]:
        return await asyncio.gather(*(slow() for _ in range(4)))

    assert run(main) == [0, 0, 0, 0]
    assert calls == ["slow"]


@pytest.mark.django_db(transaction=True)
def test_disabled_a_coroutine_function_is_the_function_alone() -> None:
    with override_settings(CACHEOPS_ENABLED=False):
        assert [async_to_sync(doubled_async)(1) for _ in range(2)] == [2, 2]
    assert calls == [1, 1]


@pytest.mark.django_db
def test_users_who_are_known_by_a_lazy_object_are_told_apart() -> None:
    one, other = (User.objects.create(username=name) for name in ("one", "other"))
    greeted = cached(timeout=60)(lambda user: calls.append(user.username))
    for user in (one, other, one):
        greeted(SimpleLazyObject(lambda user=user: user))  # type: ignore[misc]  # as request.user is made
    assert calls == ["one", "other"]
