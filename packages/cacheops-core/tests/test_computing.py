"""One of many callers computes: the others wait, go ahead alone, or take the old answer."""

import asyncio
import subprocess
import sys
import threading
import time

import pytest

from cacheops_core.cache import Cache
from cacheops_core.cache_async import AsyncCache
from cacheops_core.locks import Lock

DRINKS = {"product": [{"category": 7}]}


@pytest.fixture
def cache(redis_client):
    return Cache(redis_client, prefix="p:")


class Computation:
    """What is computed: held until it is let go, and counted."""

    def __init__(self, answer="new"):
        self.calls, self.begun, self.end, self.answer = 0, threading.Event(), threading.Event(), answer

    def __call__(self):
        self.calls += 1
        self.begun.set()
        assert self.end.wait(10)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Caller(threading.Thread):
    """A thread that asks, and remembers what it got."""

    def __init__(self, ask):
        super().__init__(daemon=True)
        self.ask, self.result = ask, None
        self.start()

    def run(self):
        try:
            self.result = self.ask()
        except Exception as error:
            self.result = error

    def answer(self):
        self.join(10)
        assert not self.is_alive()
        return self.result


def until(is_so):
    deadline = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def until_blocked(client, count):
    until(lambda: client.info("clients")["blocked_clients"] >= count)


def test_fifty_threads_compute_once(cache):
    computation = Computation()
    callers = [Caller(lambda: cache.get_or_compute("k", DRINKS, computation, lock=True)) for _ in range(50)]
    until_blocked(cache.driver.client, 49)
    computation.end.set()
    assert [caller.answer() for caller in callers] == ["new"] * 50
    assert computation.calls == 1


PROCESS = """
import sys, threading
from cacheops_core import Cache
cache = Cache(sys.argv[1])
def compute():
    cache.incr("calls")
    return "answer"
sys.stdin.readline()
threads = [threading.Thread(target=cache.get_or_compute, args=("k", "product", compute), kwargs={"lock": True})
           for _ in range(12)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(cache.get_or_compute("k", "product", compute))
"""


def test_four_processes_compute_once(redis_server, redis_client):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, redis_server.url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    assert [process.communicate(timeout=30)[0].strip() for process in processes] == ["answer"] * 4
    assert Cache(redis_client).get("calls") == 1


def test_whoever_waited_for_one_that_failed_goes_ahead_at_once(cache):
    failing, computation = Computation(ZeroDivisionError()), Computation()
    first = Caller(lambda: cache.get_or_compute("k", DRINKS, failing, lock=True))
    assert failing.begun.wait(10)
    others = [Caller(lambda: cache.get_or_compute("k", DRINKS, computation, lock=True)) for _ in range(5)]
    until_blocked(cache.driver.client, 5)
    failing.end.set()
    until(lambda: computation.calls == 5)
    computation.end.set()
    assert isinstance(first.answer(), ZeroDivisionError)
    assert [other.answer() for other in others] == ["new"] * 5


def test_whoever_waited_for_an_answer_that_could_not_be_stored_goes_ahead_at_once(cache):
    held, computation = Computation(), Computation()
    first = Caller(lambda: cache.get_or_compute("k", DRINKS, held, lock=True))
    assert held.begun.wait(10)
    others = [Caller(lambda: cache.get_or_compute("k", DRINKS, computation, lock=True)) for _ in range(3)]
    until_blocked(cache.driver.client, 3)
    cache.invalidate("product")
    held.end.set()
    until(lambda: computation.calls == 3)
    computation.end.set()
    assert [one.answer() for one in (first, *others)] == ["new"] * 4


def test_the_waiters_of_a_dead_holder_go_on_within_a_second_of_its_leases_end(cache, monkeypatch):
    monkeypatch.setattr("cacheops_core.computing.ComputingVerbs.renewing", lambda *_: pytest.fail("not ours"))
    cache.get_or_compute("k", DRINKS, lambda: "old")
    cache.invalidate("product")
    lookup = cache.fetch("k", DRINKS)
    lock = f"p:l:{{{lookup.key.removeprefix('p:e:')}}}"
    cache.driver.client.set(lock, "dead", px=300)
    began = time.monotonic()
    assert cache.get_or_compute("k", DRINKS, lambda: "new", lock=True) == "new"
    assert 0.25 < time.monotonic() - began < 10.0


def test_a_function_that_asks_for_itself_does_not_wait_for_itself(cache):
    def compute():
        return cache.get_or_compute("k", DRINKS, lambda: "inner", lock=True) + "!"

    assert cache.get_or_compute("k", DRINKS, compute, lock=True) == "inner!"


def test_what_was_stored_between_look_and_lock_is_not_computed_again(cache):
    flow = cache.computing("k", DRINKS, pytest.fail, lock=True)
    look = next(flow)
    acquire = flow.send(cache.driver.execute(look))
    lock = flow.send(cache.driver.execute(acquire))
    cache.fill(cache.fetch("k", DRINKS), "of another")

    assert finish(cache, flow, flow.send(cache.driver.execute(lock))) == "of another"


def finish(cache, flow, request):
    """Answer a flow that has begun, and return its result."""
    try:
        while True:
            request = flow.send(cache.driver.execute(request))
    except StopIteration as end:
        return end.value


def test_an_answer_that_may_not_be_stored_is_not_waited_for(cache):
    with cache.writing("product"):
        held = Computation()
        first = Caller(lambda: cache.get_or_compute("k", DRINKS, held, lock=True))
        assert held.begun.wait(10)
        assert cache.get_or_compute("k", DRINKS, lambda: "mine", lock=True) == "mine"
        held.end.set()
        assert first.answer() == "new"


# Stale answers


@pytest.fixture
def outdated(cache):
    """An answer that has been invalidated, and a caller that is computing a new one."""
    cache.get_or_compute("k", DRINKS, lambda: "old")
    cache.invalidate("product")

    def recompute(stale):
        computation = Computation()
        caller = Caller(lambda: cache.get_or_compute("k", DRINKS, computation, stale=stale))
        assert computation.begun.wait(10)
        return computation, caller

    return recompute


def test_the_others_get_the_old_answer_while_one_computes(cache, outdated):
    computation, first = outdated(60.0)
    assert cache.get_or_compute("k", DRINKS, pytest.fail, stale=60.0) == "old"
    computation.end.set()
    assert first.answer() == "new"
    assert cache.get_or_compute("k", DRINKS, pytest.fail, stale=60.0) == "new"


def test_the_old_answer_is_served_for_no_longer_than_was_agreed(cache, outdated, redis_client):
    computation, first = outdated(60.0)
    (old,) = redis_client.scan_iter("p:e:*:old")
    assert 55_000 < redis_client.pttl(old) <= 60_000
    redis_client.pexpire(old, -1)
    second = Caller(lambda: cache.get_or_compute("k", DRINKS, pytest.fail, stale=60.0))
    until_blocked(redis_client, 1)
    computation.end.set()
    assert [first.answer(), second.answer()] == ["new", "new"]


def test_whoever_has_not_agreed_does_not_get_the_old_answer(cache, outdated):
    computation, first = outdated(60.0)
    assert cache.get_or_compute("k", DRINKS, lambda: "mine") == "mine"
    computation.end.set()
    assert first.answer() == "new"


def test_the_time_of_an_old_answer_does_not_begin_again_with_another_holder(cache, outdated, redis_client):
    computation, first = outdated(60.0)
    (old,) = redis_client.scan_iter("p:e:*:old")
    redis_client.pexpire(old, 10_000)
    (lock,) = redis_client.scan_iter("p:l:*")
    redis_client.delete(lock)
    second = Computation("second")
    other = Caller(lambda: cache.get_or_compute("k", DRINKS, second, stale=60.0))
    assert second.begun.wait(10)
    assert redis_client.pttl(old) <= 10_000
    for one in (computation, second):
        one.end.set()
    assert {first.answer(), other.answer()} == {"new", "second"}


def test_an_old_answer_that_does_not_load_is_none(cache, outdated, redis_client):
    computation, first = outdated(60.0)
    (old,) = redis_client.scan_iter("p:e:*:old")
    redis_client.set(old, b"garbage")
    second = Caller(lambda: cache.get_or_compute("k", DRINKS, pytest.fail, stale=60.0))
    until_blocked(redis_client, 1)
    computation.end.set()
    assert [first.answer(), second.answer()] == ["new", "new"]


def test_everything_that_is_dropped_includes_old_answers(cache, outdated, redis_client):
    computation, first = outdated(60.0)
    cache.invalidate_all()
    assert not list(redis_client.scan_iter("p:e:*"))
    computation.end.set()
    assert first.answer() == "new"


# asyncio


def in_loop(main, url):
    async def run():
        cache = AsyncCache(url)
        try:
            return await main(cache)
        finally:
            await cache.close()

    return asyncio.run(run())


def test_tasks_compute_once(redis_server, redis_client):
    calls = []

    async def compute():
        calls.append(1)
        await asyncio.sleep(0.05)
        return "new"

    async def main(cache):
        return await asyncio.gather(
            *(cache.get_or_compute("k", DRINKS, compute, lock=True) for _ in range(20))
        )

    assert in_loop(main, redis_server.url) == ["new"] * 20
    assert len(calls) == 1


def test_a_cancelled_task_lets_the_others_go_ahead(redis_server, redis_client):
    async def main(cache):
        begun = asyncio.Event()

        async def hang():
            begun.set()
            await asyncio.Event().wait()

        async def answer():
            return "new"

        first = asyncio.create_task(cache.get_or_compute("k", DRINKS, hang, lock=True))
        await begun.wait()
        second = asyncio.create_task(cache.get_or_compute("k", DRINKS, answer, lock=True))
        await asyncio.to_thread(until_blocked, redis_client, 1)
        first.cancel()
        assert await second == "new"
        assert first.cancelled()

    in_loop(main, redis_server.url)


def test_a_task_that_computes_for_long_renews_its_lock(redis_server, redis_client, monkeypatch):
    usual = Lock.of
    monkeypatch.setattr(Lock, "of", lambda prefix, name: usual(prefix, name, 0.15))

    async def main(cache):
        async def compute():
            (lock,) = redis_client.scan_iter("*l:*")
            token = redis_client.get(lock)
            await asyncio.sleep(0.4)
            assert redis_client.get(lock) == token
            return "new"

        return await cache.get_or_compute("k", DRINKS, compute, lock=True)

    assert in_loop(main, redis_server.url) == "new"


def test_a_release_that_is_cancelled_is_owed(redis_server, redis_client):
    async def main(cache):
        await cache.get_or_compute("k", DRINKS, lambda: "old")
        unit = cache.unit_of(["product"])
        with redis_server.paused():
            task = asyncio.create_task(cache.release(unit))
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        return await cache.get_or_compute("k", DRINKS, lambda: "new")

    assert in_loop(main, redis_server.url) == "new"
