"""Locks: tokens, leases, waiters that are woken all at once."""

import threading
import time

import pytest

from cacheops_core import locks
from cacheops_core.drivers import SyncDriver
from cacheops_core.errors import BackendError
from cacheops_core.flows import Command
from cacheops_core.locks import TOLD, Held, Lock, Renewer
from cacheops_core.testing import count_round_trips, replay

KEY = "p:l:{name}"


@pytest.fixture
def run(redis_client):
    return SyncDriver(redis_client).run


def attempt(lease=10.0):
    return Lock.of("p:", "name", lease)


def test_a_free_lock_is_taken(run, redis_client):
    lock = attempt()
    assert run(locks.take(lock)) == Held(lock.token, 10_000)
    assert redis_client.get(KEY) == lock.token.encode()
    assert 9_000 < redis_client.pttl(KEY) <= 10_000


def test_a_lock_that_is_held_tells_its_holder(run):
    first, second = attempt(), attempt()
    run(locks.take(first))
    held = run(locks.take(second))
    assert held.token == first.token
    assert 9_000 < held.left <= 10_000


def test_a_lock_is_given_back_once(run):
    lock = attempt()
    run(locks.take(lock))
    assert run(locks.give_back(lock))
    assert not run(locks.give_back(lock))


def test_nobody_gives_back_what_another_holds(run, redis_client):
    dead, living = attempt(), attempt()
    run(locks.take(dead))
    redis_client.delete(KEY)
    run(locks.take(living))
    assert not run(locks.give_back(dead))
    assert redis_client.get(KEY) == living.token.encode()


def test_nobody_renews_what_another_holds(run, redis_client):
    dead, living = attempt(100.0), attempt(10.0)
    run(locks.take(living))
    assert not run(locks.renew(dead))
    assert redis_client.pttl(KEY) <= 10_000


def test_a_renewed_lock_lives_on(run, redis_client):
    lock = attempt()
    run(locks.take(lock))
    redis_client.pexpire(KEY, 5_000)
    assert run(locks.renew(lock))
    assert redis_client.pttl(KEY) > 9_000


GARBAGE = {
    "string without end": lambda client: client.set(KEY, "garbage"),
    "list": lambda client: client.rpush(KEY, "garbage"),
    "hash": lambda client: client.hset(KEY, "garbage", "garbage"),
}


@pytest.mark.parametrize("put", GARBAGE.values(), ids=GARBAGE)
def test_garbage_is_no_holder(run, redis_client, put):
    put(redis_client)
    lock = attempt()
    assert not run(locks.renew(lock))
    assert not run(locks.give_back(lock))
    assert run(locks.take(lock)).token == lock.token


def test_a_waiter_is_told_even_if_it_comes_late(run, redis_client):
    holder, waiter = attempt(), attempt()
    run(locks.take(holder))
    held = run(locks.take(waiter))
    run(locks.give_back(holder))
    assert [run(locks.wait(waiter, held, 5.0)) for _ in range(2)] == [True, True]
    assert 0 < redis_client.pttl(waiter.waiters + holder.token) <= TOLD


def test_a_waiter_of_a_holder_that_goes_on_is_told_nothing(run):
    holder, waiter = attempt(), attempt()
    run(locks.take(holder))
    assert not run(locks.wait(waiter, run(locks.take(waiter)), 0.01))


def test_all_waiters_are_woken_by_one_holder(redis_server, run):
    holder, woken = attempt(), []
    run(locks.take(holder))
    held = Held(holder.token, 60_000)

    def wait():
        with redis_server.client() as client:
            woken.append(SyncDriver(client).run(locks.wait(attempt(), held, 30.0)))

    threads = [threading.Thread(target=wait) for _ in range(10)]
    for thread in threads:
        thread.start()
    until(lambda: redis_server.client().info("clients")["blocked_clients"] == 10)
    run(locks.give_back(holder))
    for thread in threads:
        thread.join(10)
    assert woken == [True] * 10


def test_a_waiter_waits_no_longer_than_the_lease_and_its_patience():
    for left, patience, seconds in ((60_000, 0.5, 0.5), (100, 0.5, 0.1), (0, 0.5, 0.001)):
        (asked,), _ = replay(locks.wait(attempt(), Held("t", left), patience), [None])
        assert asked == Command("BLMOVE", ("p:w:{name}:t", "p:w:{name}:t", "LEFT", "RIGHT", seconds))


def test_a_dead_holder_is_waited_for_until_its_lease_ends(run):
    dead, waiter = attempt(0.2), attempt()
    run(locks.take(dead))
    began = time.monotonic()
    run(locks.hold(waiter, 30.0))
    assert 0.15 < time.monotonic() - began < 10.0


def test_a_lock_that_is_held_for_long_is_renewed(run, redis_client):
    lock, renewer = attempt(0.15), Renewer(run)
    run(locks.take(lock))
    with renewer.renewing(lock):
        until_renewed(redis_client, 3)
        assert redis_client.get(KEY) == lock.token.encode()
    until(lambda: not redis_client.exists(KEY))


def test_one_thread_renews_all_locks(run, redis_client):
    renewing = set()

    def noting(flow):
        renewing.add(threading.get_ident())
        return run(flow)

    held, renewer = [Lock.of("p:", name, 1.5) for name in "abc"], Renewer(noting)
    for lock in held:
        run(locks.take(lock))
    with renewer.renewing(held[0]), renewer.renewing(held[1]), renewer.renewing(held[2]):
        until_renewed(redis_client, 9)
        assert all(redis_client.exists(lock.key) for lock in held)
    assert len(renewing) == 1


def test_a_renewal_that_fails_does_not_end_the_others(redis_client, run):
    failures = [BackendError("away")]

    def failing(flow):
        return run(flow) if not failures else raise_(failures.pop())

    lock = attempt(1.5)
    run(locks.take(lock))
    with Renewer(failing).renewing(lock):
        until_renewed(redis_client, 1)
    assert not failures


def raise_(error):
    raise error


def until(is_so):
    deadline = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def until_renewed(client, times):
    """Wait until locks have been renewed so often, as the server counts."""

    def renewals():
        return client.info("commandstats").get("cmdstat_pexpire", {}).get("calls", 0)

    goal = renewals() + times
    until(lambda: renewals() >= goal)


def test_a_lock_and_its_return_are_one_round_trip_each(run, redis_client):
    run(locks.hold(attempt(), 1.0))
    redis_client.delete(KEY)
    lock = attempt()
    run(locks.give_back(lock))
    with count_round_trips(redis_client) as trips:
        run(locks.hold(lock, 1.0))
        run(locks.give_back(lock))
    assert trips.sent == [("EVALSHA",), ("EVALSHA",)]
