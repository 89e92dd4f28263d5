"""What grows and what does not: the cost of a write, the memory of the server, the keys of a query.

Costs are counted on the server, which tells what its scripts have called, too. ``CACHEOPS_GROWTH=1000000`` has as
many results depend on what is written as there may be in a large shop.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from itertools import combinations, product
from typing import Any, NamedTuple

import pytest
import redis

from cacheops_core import locks, reading_verbs
from cacheops_core.cache import Cache
from cacheops_core.flows import Flow
from cacheops_core.testing import Server, start_server, wait_for
from cacheops_core.units import Unit

FEW, MANY = 100, int(os.environ.get("CACHEOPS_GROWTH", "20000"))

BATCH = 500
"""Flows that go to the server together."""

ROW = {"id": 5, "category": 7}

MEASURING = {"config|resetstat", "info"}
"""Commands of our own."""

Tell = Callable[[str], None]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server of one kind: what it counts is the protocol's."""
    with start_server() as server:
        yield server


@pytest.fixture
def redis_client(server: Server) -> Iterator[redis.Redis]:
    with server.client() as client:
        client.flushall()
        yield client


@pytest.fixture
def cache(redis_client: redis.Redis) -> Cache:
    return Cache(redis_client, timeout=3600.0)  # longer than a million results take to store


# Filling


def of_product(number: int) -> dict[str, Any]:
    """Return what the page of a product in category 7 depends on: its row and all of the category."""
    return {"product": [{"category": 7}, {"id": number}]}


def storing(cache: Cache, number: int, payload: Any = None) -> Flow[None]:
    """Store a page."""
    lookup = yield from cache.looking_up(number, of_product(number))
    yield from cache.filling(lookup, payload)


def store(cache: Cache, numbers: Iterable[int], payload: Any = None) -> None:
    """Store many pages, in fewer round trips than they would take one by one."""
    numbers = list(numbers)
    # Who has missed often acquires in another step.
    cache.may_acquire_ahead = False
    for start in range(0, len(numbers), BATCH):
        run_together(cache, [storing(cache, number, payload) for number in numbers[start : start + BATCH]])


def run_together(cache: Cache, flows: list[Flow[None]]) -> None:
    """Run flows that take the same steps, each step of all of them in one round trip."""
    asked = [next(flow) for flow in flows]
    while asked:
        requests = [one if isinstance(one, tuple) else (one,) for one in asked]
        replies = iter(cache.driver.execute(tuple(request for some in requests for request in some)))
        asked_next = []
        for flow, one, some in zip(flows, asked, requests, strict=True):
            found = [next(replies) for _ in some]
            try:
                asked_next.append(flow.send(found if isinstance(one, tuple) else found[0]))
            except StopIteration:
                continue
        assert len(asked_next) in (0, len(flows)), "the flows take different steps"
        asked = asked_next


# Measuring


class Cost(NamedTuple):
    """What something has cost the server."""

    calls: dict[str, int]
    """How often each command was called, by clients and by scripts."""
    microseconds: int
    keys: int
    """By how many keys it holds more."""


def cost(client: redis.Redis, do: Callable[[], object]) -> Cost:
    """Do something and return what it has cost."""
    before = client.dbsize()
    client.config_resetstat()
    do()
    # What scripts call counts for them, too.
    stats = {name.removeprefix("cmdstat_"): told for name, told in client.info("commandstats").items()}
    calls = {name: told["calls"] for name, told in stats.items() if name not in MEASURING}
    taken = sum(told["usec"] for name, told in stats.items() if name.startswith("eval"))
    return Cost(calls, taken, client.dbsize() - before)


CHANGES: dict[str, list[Any]] = {
    "a row": [("product", ROW), ("product", ROW | {"category": 8})],
    "a whole table": ["product"],
}


def write(cache: Cache, kind: str) -> None:
    """Fence and release, as a transaction does."""
    with cache.writing(*CHANGES[kind]):
        pass


@pytest.mark.parametrize("kind", CHANGES)
def test_a_write_costs_the_same_however_many_results_depend_on_it(
    cache: Cache, redis_client: redis.Redis, tell: Tell, kind: str
):
    costs = []
    write(cache, kind)  # so that the server knows the scripts
    for number in (FEW, MANY):
        redis_client.flushall()
        store(cache, range(number))
        assert cache.fetch(FEW - 1, of_product(FEW - 1)).is_hit
        costs.append(cost(redis_client, lambda: write(cache, kind)))
        assert not any(cache.fetch(each, of_product(each)).is_hit for each in range(0, number, number // 50))
    few, many = costs
    assert few.calls == many.calls
    assert few.keys == many.keys
    tell(
        f"writing {kind} costs the server {few.microseconds} us with {FEW} results that depend on it, "
        f"{many.microseconds} us with {MANY:,}: {sum(many.calls.values())} commands"
    )


def test_every_key_has_an_end(cache: Cache, redis_client: redis.Redis):
    store(cache, range(FEW))
    cache.fence(cache.unit_of([("product", ROW)]))
    cache.set("k", 1)
    cache.incr("n")
    cache.get_or_compute("s", "product", int, stale=10)
    longest = 2 * 3_600_000 + reading_verbs.MARGIN
    assert all(0 < redis_client.pttl(key) <= longest for key in redis_client.scan_iter())


def test_memory_comes_back_when_everything_has_ended_and_nobody_cleans(
    redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch, tell: Tell
):
    # The same ends, sooner.
    monkeypatch.setattr(reading_verbs, "MARGIN", 100)
    monkeypatch.setattr(locks, "TOLD", 100)
    cache = Cache(redis_client, timeout=1.0, fence_lifetime=1.0)
    leave_all_kinds_of_keys(cache)
    wait_for(lambda: redis_client.dbsize() == 0)
    base = used(redis_client)
    store(cache, range(MANY // 4), bytes(1000))
    leave_all_kinds_of_keys(cache)
    peak, keys = used(redis_client), redis_client.dbsize()
    wait_for(lambda: redis_client.dbsize() == 0)
    wait_for(lambda: used(redis_client) - base < (peak - base) / 50)
    tell(f"{keys:,} keys took {peak - base:,} bytes, and left {used(redis_client) - base:,} when they ended")


def leave_all_kinds_of_keys(cache: Cache) -> None:
    """Have a key of each kind stored, and a writer die."""
    cache.set("k", 1)
    cache.incr("n")
    for _ in range(2):
        cache.get_or_compute("s", "tag", int, stale=1)
        cache.get_or_compute("l", "tag", int, lock=True)
        cache.invalidate("tag")
    cache.fence(cache.unit_of([("product", ROW)]))
    cache.fence(cache.unit_of(["category"]))


def used(client: redis.Redis) -> int:
    return int(client.info("memory")["used_memory"])


# Schemes and conjunctions


FIELDS = [f"field{number}" for number in range(10)]
SCHEMES = [fields for size in (1, 2, 3) for fields in combinations(FIELDS, size)]


def test_a_table_has_no_more_schemes_than_it_may_and_a_write_no_more_to_fence(
    cache: Cache, redis_client: redis.Redis
):
    most = cache.options.max_schemes
    values = dict.fromkeys(FIELDS, 1)
    costs = []
    for some in (SCHEMES[: most + 10], SCHEMES):
        for fields in some:
            cache.get_or_compute("k", {"product": [dict.fromkeys(fields, 1)]}, int)
        assert redis_client.scard("cacheops:s:{product}") <= most + 1  # and "any row", which is always there
        costs.append(cost(redis_client, lambda: cache.invalidate("product", values)).calls)
    assert costs[0] == costs[1]


def test_a_query_of_five_lists_of_eight_has_a_bounded_number_of_keys(cache: Cache, redis_client: redis.Redis):
    conditions = [dict(zip(FIELDS, values, strict=False)) for values in product(range(8), repeat=5)]
    assert len(conditions) == 8**5
    cache.get_or_compute("k", {"product": conditions}, int)
    assert cache.fetch("k", {"product": conditions}).is_hit
    assert redis_client.dbsize() == 4  # the entry, the generation, the registry, "any row"
    cache.invalidate("product", dict.fromkeys(FIELDS, 3))
    assert not cache.fetch("k", {"product": conditions}).is_hit


def test_a_transaction_that_changes_very_many_rows_fences_the_table_in_their_place(redis_client: redis.Redis):
    cache = Cache(redis_client, max_fences=100)
    store(cache, range(FEW))
    unit = Unit()
    unit.add("product", [{"id": str(number), "category": "7"} for number in range(10 * FEW)])
    assert cost(redis_client, lambda: cache.fence(unit)).keys <= 2
    cache.release(unit)
    assert not any(cache.fetch(number, of_product(number)).is_hit for number in range(FEW))
