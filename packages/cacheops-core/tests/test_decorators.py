"""Cached functions: called once per arguments, bound, pickled and awaited as functions are."""

import asyncio
import copy
import functools
import inspect
import logging
import pickle
import threading

import pytest

from cacheops_core.decorators import NOT_GIVEN, cached
from cacheops_core.errors import CacheMiss, ConfigurationError, KeyingError
from cacheops_core.keys import stable_key
from cacheops_core.serializers import DumpError


class Store:
    """The least that a cache must be: it remembers timeouts and refuses locks."""

    def __init__(self):
        self.values = {}
        self.timeouts = []

    def get(self, key, default=NOT_GIVEN):
        if key not in self.values and default is NOT_GIVEN:
            raise CacheMiss(key)
        return self.values.get(key, default)

    def set(self, key, value, timeout=NOT_GIVEN):
        if isinstance(value, type(threading.Lock())):
            raise DumpError("locks do not serialize")
        self.values[key] = value
        self.timeouts.append(timeout)

    def delete(self, key):
        return self.values.pop(key, None) is not None


class Computing(Store):
    """A cache that also computes: it notes with which options."""

    asked = ()

    def get_or_compute(self, key, dependencies, compute, *timeout, **options):
        self.asked = (dependencies, timeout, options)
        if key not in self.values:
            self.set(key, compute())
        return self.values[key]


class AsyncStore(Store):
    async def get(self, key, default=NOT_GIVEN):
        return super().get(key, default)

    async def set(self, key, value, *timeout):
        super().set(key, value, *timeout)

    async def delete(self, key):
        return super().delete(key)

    async def get_or_compute(self, key, dependencies, compute, *timeout, **options):
        if key not in self.values:
            await self.set(key, await compute())
        return self.values[key]


store = Store()
calls = []


@cached(store)
def area(width, height=1):
    """Return the area."""
    calls.append((width, height))
    return width * height


class Shop:
    def __init__(self, number):
        self.number = number

    def __cache_key__(self):
        return self.number

    @cached(store, timeout=5)
    def price(self, product):
        calls.append((self.number, product))
        return self.number * product

    @cached(store)
    @classmethod
    def kind(cls):
        calls.append(cls)
        return cls.__name__

    @cached(store)
    @staticmethod
    def tax(amount):
        calls.append(amount)
        return amount / 5


class Kiosk(Shop):
    pass


@pytest.fixture(autouse=True)
def _fresh():
    store.__init__()
    calls.clear()


def test_a_result_is_computed_once_however_its_arguments_are_passed():
    assert [area(2), area(width=2), area(2, 1), area(2, height=1)] == [2] * 4
    assert calls == [(2, 1)]


def test_none_is_a_result_like_any_other():
    nothing = cached(store)(lambda: calls.append(1))
    assert [nothing(), nothing()] == [None, None]
    assert calls == [1]


def test_invalidate_drops_the_result_of_one_call():
    area(2), area(3)
    area.invalidate(width=2)
    area(2), area(3)
    assert calls == [(2, 1), (3, 1), (2, 1)]


def test_a_key_is_where_the_result_stands():
    key = area.key(2)
    with pytest.raises(CacheMiss):
        key.get()
    assert key.get(None) is None
    key.set(7)
    assert (key.get(), area(2), calls) == (7, 7, [])
    assert key.delete()
    assert area(2) == 2


def test_timeouts_go_to_the_cache_only_if_given():
    area(1)
    Shop(1).price(1)
    Shop(1).price.key(1).set(1)
    Shop(1).price.key(1).set(1, timeout=9)
    assert store.timeouts == [NOT_GIVEN, 5, 5, 9]


def test_extra_keeps_results_apart():
    one, two = (cached(store, extra=extra)(area.__wrapped__) for extra in ("one", "two"))
    assert one(1) == two(1)
    assert len(calls) == 2


def test_a_function_as_extra_is_asked_at_each_call():
    asked = []

    def parity(self, number, **kwargs):
        asked.append((self.name, number, kwargs))
        return number % 2 if not kwargs else "other"

    class Shelf:
        name = "shelf"

        def __cache_key__(self):
            return self.name

        @cached(store, extra=lambda *args, **kwargs: parity(*args, **kwargs) or version[0])
        def times(self, number, by=1):
            calls.append(number)
            return number * by

    version = ["a"]
    assert [Shelf().times(2), Shelf().times(2), Shelf().times(2, by=2)] == [2, 2, 4]
    version[0] = "b"
    assert Shelf().times(2) == 2
    assert calls == [2, 2, 2]
    assert asked == [("shelf", 2, {}), ("shelf", 2, {}), ("shelf", 2, {"by": 2}), ("shelf", 2, {})]
    Shelf().times.invalidate(2)
    Shelf().times(2)
    assert calls == [2, 2, 2, 2]


def test_a_class_as_extra_is_itself():
    one, two = (cached(store, extra=extra)(area.__wrapped__) for extra in (int, str))
    assert one(1) == two(1)
    assert len(calls) == 2


def test_decorators_above_hand_on_what_a_cached_function_can():
    @functools.wraps(area)
    def above(*args, **kwargs):
        return area(*args, **kwargs)

    assert above(1) == 1
    above.invalidate(1)
    above.key(1).set(9)
    assert above(1) == 9


def test_what_a_cached_function_is_put_around_hands_on_nothing_of_its_own():
    @functools.wraps(area)
    def above(side):
        return area(side)

    outer = cached(store, above)
    outer.key(1).set(9)
    assert [outer(1), area(1)] == [9, 1]


def test_the_object_of_a_bound_method_may_be_given_too():
    shop = Shop(3)
    shop.price.key(shop, 4).set(9)
    assert shop.price(4) == 9
    shop.price.invalidate(shop, 4)
    assert shop.price(4) == 12
    with pytest.raises(TypeError, match="too many positional arguments"):
        shop.price.key(Shop(3), 4, 5)


def test_the_bare_decorator_does():
    double = cached(store, lambda value: 2 * value)
    assert double(4) == 8


def test_methods_are_bound_with_all_their_words():
    shop, other = Shop(2), Shop(3)
    assert [shop.price(5), shop.price(5), Shop.price(shop, 5), other.price(5)] == [10, 10, 10, 15]
    assert len(calls) == 2
    shop.price.invalidate(5)
    assert shop.price.key(5).get(None) is None
    assert other.price.key(5).get() == 15


def test_class_and_static_methods_may_stand_below():
    assert [Shop.kind(), Kiosk.kind(), Kiosk(1).kind()] == ["Shop", "Kiosk", "Kiosk"]
    assert [Shop.tax(5), Kiosk(1).tax(5)] == [1, 1]
    assert calls == [Shop, Kiosk, 5]


def test_a_cached_function_looks_like_the_function():
    assert (area.__name__, area.__doc__, area.__module__) == ("area", "Return the area.", __name__)
    assert str(inspect.signature(area)) == "(width, height=1)"
    assert repr(area).startswith("<cached <function area")


def test_a_cached_function_is_copied_pickled_and_keyed_by_name():
    assert copy.deepcopy(area) is area
    assert pickle.loads(pickle.dumps(area)) is area
    assert stable_key(area) == stable_key(area)
    assert stable_key(area) != stable_key(area.__wrapped__)


def test_arguments_without_a_key_are_refused_before_the_call():
    with pytest.raises(KeyingError, match=r'args\["width"\]'):
        area(threading.Lock())
    assert calls == []


def test_a_result_that_cannot_be_stored_is_returned_with_one_warning(caplog):
    make = cached(store)(lambda number: threading.Lock())
    with caplog.at_level(logging.WARNING, logger="cacheops"):
        assert make(1) is not make(2)
    assert [record.getMessage() for record in caplog.records if "not cached: locks" in record.getMessage()]
    assert len(caplog.records) == 1


def test_an_error_of_the_function_is_raised_and_not_stored():
    def fail():
        calls.append(1)
        raise ValueError("no")

    failing = cached(store)(fail)
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            failing()
    assert len(calls) == 2


def test_options_are_for_the_cache_that_computes():
    computing = Computing()
    function = cached(computing, timeout=3, lock=True, stale=2)(lambda: 1)
    assert [function(), function()] == [1, 1]
    assert computing.asked == ({}, (3,), {"lock": True, "stale": 2})


WRONG = {
    "no lock": (
        lambda: cached(store, lock=True),
        r"has no get_or_compute, which \['lock'\] needs: leave it out",
    ),
    "no function": (
        lambda: cached(store, 60),
        r"only functions can be cached, got 60: write cached\(timeout=",
    ),
    "a generator": (lambda: cached(store)(generate), "is a generator, .*: return a list"),
    "async generator": (lambda: cached(store)(generate_async), "is a generator, .*: return a list"),
    "sync on async": (lambda: cached(AsyncStore())(abs), "cannot wait for an async cache: make it async def"),
}


def generate():
    yield 1


async def generate_async():
    yield 1


@pytest.mark.parametrize("decorate, message", WRONG.values(), ids=WRONG)
def test_what_cannot_be_cached_is_refused_where_it_is_decorated(decorate, message):
    with pytest.raises(ConfigurationError, match=message):
        decorate()


# -- coroutines -------------------------------------------------------------------------------------


def doubling(cache, **options):
    @cached(cache, **options)
    async def double(value):
        await asyncio.sleep(0)
        calls.append((value, threading.get_ident()))
        return 2 * value

    return double


@pytest.mark.parametrize("cache", [Store, Computing, AsyncStore])
def test_coroutine_functions_are_cached_on_either_kind_of_cache(cache):
    double = doubling(cache())

    async def run():
        return [await double(2), await double(2), await double(3)]

    assert asyncio.run(run()) == [4, 4, 6]
    assert len(calls) == 2


@pytest.mark.parametrize("cache", [Computing, AsyncStore])
def test_with_a_lock_the_coroutine_still_runs_on_its_loop(cache):
    double = doubling(cache(), lock=True)

    async def run():
        return [await double(2), await double(2)]

    assert asyncio.run(run()) == [4, 4]
    assert calls == [(2, threading.get_ident())]


def test_an_async_cache_is_awaited_by_all_words():
    double = doubling(AsyncStore())

    async def run():
        await double.key(1).set(5)
        assert await double(1) == 5
        await double.invalidate(1)
        return await double.key(1).get(None)

    assert asyncio.run(run()) is None


def test_a_cached_coroutine_function_is_known_as_one():
    double = doubling(store)
    # asgiref has the same two ways, and Django asks it.
    is_marked = inspect.iscoroutinefunction(double) or getattr(double, "_is_coroutine", False)
    assert is_marked
    assert inspect.iscoroutinefunction(double.__call__)


def test_a_coroutine_result_that_cannot_be_stored_is_returned(caplog):
    @cached(store)
    async def make():
        return threading.Lock()

    assert asyncio.run(make())
    assert len(caplog.records) == 1
