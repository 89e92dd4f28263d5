"""What every cache owes, as classes of tests: make one of your own by inheriting, with a fixture ``cache``.

::

    class TestMyCache(SimpleCacheContract):
        @pytest.fixture
        def cache(self):
            return MyCache()

The cache must be empty. An `AsyncCache` takes part as ``Awaited(cache, runner)``.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from cacheops_core.errors import CacheMiss, ConfigurationError
from cacheops_core.serializers import DumpError

__all__ = ["Awaited", "DependentCacheContract", "LockContract", "SimpleCacheContract"]

DEADLINE = 10.0
"""Seconds within which what must happen has happened."""

DRINKS = {"product": [{"category": 7}]}
DRINK = ("product", {"id": 1, "category": 7})
BOOK = ("product", {"id": 2, "category": 8})


class Awaited:
    """An async cache for tests that are written for both: each verb runs to its end in the runner's loop."""

    def __init__(self, cache: Any, runner: asyncio.Runner) -> None:
        self._cache, self._runner = cache, runner

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._cache, name)
        return self._wait_for(found) if inspect.iscoroutinefunction(found) else found

    def _wait_for(self, verb: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args, **kwargs: self._runner.run(verb(*args, **kwargs))

    def writing(self, *changes: Any) -> Any:
        """As that of the cache, in a plain ``with``."""
        return self._inside(self._cache.writing(*changes))

    def lock(self, *args: Any) -> Any:
        """As that of the cache, in a plain ``with``."""
        return self._inside(self._cache.lock(*args))

    @contextmanager
    def _inside(self, block: Any) -> Iterator[Any]:
        yield self._runner.run(block.__aenter__())
        self._runner.run(block.__aexit__(None, None, None))


class SimpleCacheContract:
    """Values under keys that depend on nothing but time."""

    VALUES: tuple[Any, ...] = (
        None, True, 0, -1, 2**63, 1.5, "", "text", b"bytes", [1, [2]], {"a": (1,)}, {1, 2},
    )  # fmt: skip

    @pytest.mark.parametrize("value", VALUES, ids=repr)
    def test_a_value_comes_back_as_it_was(self, cache: Any, value: Any) -> None:
        cache.set("k", value)
        found = cache.get("k")
        assert (found, type(found)) == (value, type(value))

    def test_a_value_is_a_new_object_each_time(self, cache: Any) -> None:
        cache.set("k", [1])
        cache.get("k").append(2)
        assert cache.get("k") == [1]

    def test_a_miss_raises_unless_there_is_a_default(self, cache: Any) -> None:
        with pytest.raises(CacheMiss):
            cache.get("k")
        assert cache.get("k", None) is None

    @pytest.mark.parametrize(
        "key",
        ["j", "K", "k ", "", "kk", "ключ", "../k", "k" * 1000, 1, ("k",)],
        ids=lambda key: ascii(key)[:9],
    )
    def test_keys_are_kept_apart(self, cache: Any, key: Any) -> None:
        cache.set("k", 1)
        assert cache.get(key, None) is None
        cache.set(key, 2)
        assert (cache.get("k"), cache.get(key)) == (1, 2)

    def test_a_deleted_value_is_gone(self, cache: Any) -> None:
        cache.set("k", 1)
        cache.delete("k")
        cache.delete("k")
        assert cache.get("k", None) is None

    def test_a_value_that_cannot_be_stored_raises_and_leaves_the_old_one(self, cache: Any) -> None:
        cache.set("k", 1)
        with pytest.raises(DumpError):
            cache.set("k", lambda: None)
        assert cache.get("k") == 1

    def test_many_values_at_once(self, cache: Any) -> None:
        cache.set_many({"a": 1, "b": [2]})
        assert cache.get_many(["a", "b", "c"]) == {"a": 1, "b": [2]}
        assert cache.get_many([]) == {}

    def test_only_the_first_is_added(self, cache: Any) -> None:
        assert cache.add("k", 1)
        assert not cache.add("k", 2)
        assert cache.get("k") == 1

    def test_numbers_are_counted(self, cache: Any) -> None:
        assert [cache.incr("k"), cache.incr("k", 5), cache.incr("k", -2)] == [1, 6, 4]
        assert cache.get("k") == 4

    def test_only_what_is_there_is_touched(self, cache: Any) -> None:
        assert not cache.touch("k")
        cache.set("k", 1, timeout=0.5)
        assert cache.touch("k", 50)

    @pytest.mark.parametrize("store", ["set", "add", "set_many"])
    def test_a_value_ends_with_its_time(self, cache: Any, store: str) -> None:
        getattr(cache, store)(*([{"k": 1}] if store == "set_many" else ["k", 1]), timeout=0.05)
        _wait_until(lambda: cache.get("k", None) is None)

    @pytest.mark.parametrize("timeout", [0, -1, "1", True, float("nan"), float("inf")], ids=repr)
    def test_a_time_that_is_none_is_refused_by_name(self, cache: Any, timeout: Any) -> None:
        with pytest.raises(ConfigurationError, match="timeout"):
            cache.set("k", 1, timeout=timeout)

    def test_everything_can_be_dropped(self, cache: Any) -> None:
        cache.set_many({"a": 1, "b": 2})
        cache.invalidate_all()
        assert cache.get_many(["a", "b"]) == {}


class DependentCacheContract:
    """Answers that know what they depend on."""

    @pytest.fixture
    def ask(self, cache: Any) -> Callable[..., int]:
        """Ask for how often the answer has been computed."""
        calls: list[int] = []

        def compute() -> int:
            calls.append(1)
            return len(calls)

        return lambda dependencies=DRINKS, **how: int(cache.get_or_compute("k", dependencies, compute, **how))

    def test_an_answer_is_computed_once(self, ask: Callable[..., int]) -> None:
        assert [ask() for _ in range(3)] == [1, 1, 1]

    def test_an_answer_goes_with_what_it_depends_on(self, cache: Any, ask: Callable[..., int]) -> None:
        ask()
        cache.invalidate(*DRINK)
        assert [ask(), ask()] == [2, 2]

    def test_an_answer_stays_while_other_rows_change(self, cache: Any, ask: Callable[..., int]) -> None:
        ask()
        cache.invalidate(*BOOK)
        cache.invalidate("shop")
        assert ask() == 1

    def test_an_answer_goes_with_its_whole_table(self, cache: Any, ask: Callable[..., int]) -> None:
        ask()
        cache.invalidate("product")
        assert ask() == 2

    def test_nothing_is_stored_while_somebody_writes(self, cache: Any, ask: Callable[..., int]) -> None:
        with cache.writing(DRINK):
            assert [ask(), ask()] == [1, 2]
        assert [ask(), ask()] == [3, 3]

    def test_what_was_read_before_a_write_is_not_stored_after_it(self, cache: Any) -> None:
        lookup = cache.fetch("k", DRINKS)
        with cache.writing(DRINK):
            pass
        cache.fill(lookup, "old")
        assert not cache.fetch("k", DRINKS).is_hit

    def test_several_answers_are_had_together(self, cache: Any) -> None:
        for key in ("a", "b", "c"):
            cache.fill(cache.fetch(key, {"product": [{"id": ord(key)}]}), key)
        cache.invalidate("product", {"id": ord("b")})
        wanted = [(key, {"product": [{"id": ord(key)}]}, 60) for key in ("a", "b", "c")]
        found = cache.fetch_together(wanted)
        assert [(one.is_hit, one.value) for one in found] == [(True, "a"), (False, None), (True, "c")]
        # What was only brought along may not be stored; what was asked for may.
        assert found[1].head is None
        assert [one.head is not None for one in cache.fetch_together(wanted[1:])] == [True, False]

    def test_a_unit_can_be_fenced_and_released_by_hand(self, cache: Any) -> None:
        unit = cache.begin()
        unit.add("product", None)
        cache.fence(unit)
        assert cache.fetch("k", DRINKS).head is None
        cache.release(unit)
        assert cache.fetch("k", DRINKS).head is not None

    def test_everything_can_be_dropped(self, cache: Any, ask: Callable[..., int]) -> None:
        ask()
        cache.invalidate_all()
        assert ask() == 2

    @pytest.mark.parametrize("how", [{"lock": True}, {"stale": 5.0}], ids=repr)
    def test_one_caller_alone_need_not_wait(self, cache: Any, ask: Callable[..., int], how: Any) -> None:
        assert [ask(**how), ask(**how)] == [1, 1]
        cache.invalidate("product")
        assert [ask(**how), ask(**how)] == [2, 2]


class LockContract:
    """Locks: one at a time, and nobody waits for the dead."""

    @pytest.fixture
    def other(self, cache: Any) -> Any:
        """Return another cache over the same server, for another thread."""
        return cache

    def test_a_lock_that_was_given_back_is_free(self, cache: Any) -> None:
        for _ in range(2):
            with cache.lock("name"):
                pass

    def test_locks_of_other_names_are_other_locks(self, cache: Any) -> None:
        with cache.lock("name"), cache.lock("other"):
            pass

    def test_whoever_waits_goes_on_when_the_holder_is_done(self, cache: Any, other: Any) -> None:
        order: list[str] = []

        def wait() -> None:
            with other.lock("name"):
                order.append("second")

        thread = threading.Thread(target=wait)
        with cache.lock("name"):
            thread.start()
            thread.join(0.05)
            order.append("first")
        thread.join(DEADLINE)
        assert order == ["first", "second"]


def _wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not is_so():
        assert time.monotonic() < deadline, f"not so within {DEADLINE} s"
        time.sleep(0.005)
