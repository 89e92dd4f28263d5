"""The cache as programs use it, over real servers."""

import logging
import os
import pickle
import threading
import time
from math import inf

import pytest
import redis

from cacheops_core import reading_verbs
from cacheops_core.cache import Cache, connect
from cacheops_core.conditions import Dependencies
from cacheops_core.errors import BackendError, CacheMiss, ConfigurationError
from cacheops_core.options import CacheOptions
from cacheops_core.reading_verbs import IN_VAIN
from cacheops_core.serializers import DumpError
from cacheops_core.stamps import FORMAT
from cacheops_core.testing import count_round_trips, start_server, wait_for
from cacheops_core.testing.proxies import Passing, Proxy, Silent

DRINKS = {"product": [{"category": 7}]}
A_DRINK = {"id": 1, "category": 7}
A_BOOK = {"id": 2, "category": 8}


@pytest.fixture
def cache(redis_client):
    return Cache(redis_client, prefix="p:")


@pytest.fixture
def compute():
    """A function that says how often it was called."""
    calls = []

    def compute():
        calls.append(1)
        return len(calls)

    return compute


@pytest.fixture
def down(redis_client):
    """Make a cache whose server can be taken away and brought back."""
    with start_server() as server:

        def make(**options):
            client = server.client(socket_timeout=1, retry=None)
            return Cache(client, **options), server

        yield make


# Reading


def test_an_answer_is_computed_once(cache, compute):
    assert [cache.get_or_compute("k", DRINKS, compute) for _ in range(3)] == [1, 1, 1]


def test_none_is_an_answer_too(cache):
    cache.fill(cache.fetch("k", DRINKS), None)
    lookup = cache.fetch("k", DRINKS)
    assert lookup.is_hit
    assert lookup.value is None


def test_a_miss_may_be_filled(cache):
    lookup = cache.fetch("k", DRINKS)
    assert not lookup.is_hit
    assert cache.fill(lookup, "rows")
    assert cache.fetch("k", DRINKS).value == "rows"


def test_hits_are_objects_of_their_own(cache):
    cache.fill(cache.fetch("k", DRINKS), [[]])
    cache.fetch("k", DRINKS).value[0].append("mine")
    assert cache.fetch("k", DRINKS).value == [[]]


@pytest.mark.parametrize("other", ["j", b"k", 1, ("k",), None], ids=repr)
def test_other_keys_are_other_entries(cache, other):
    cache.fill(cache.fetch("k", DRINKS), "rows")
    assert not cache.fetch(other, DRINKS).is_hit


def test_the_same_key_with_other_dependencies_is_another_entry(cache):
    cache.fill(cache.fetch("k", DRINKS), "rows")
    assert not cache.fetch("k", {"product": [{"category": 8}]}).is_hit


def test_a_hit_is_one_round_trip(cache, redis_client):
    cache.fill(cache.fetch("k", DRINKS | {"shop": []}), "rows")
    with count_round_trips(redis_client) as trips:
        assert cache.fetch("k", DRINKS | {"shop": []}).is_hit
    assert trips.sent == [("MGET",)]


def test_a_miss_and_its_fill_are_three(cache, redis_client):
    cache.get_or_compute("warm", {"other": [], "another": []}, int)
    with count_round_trips(redis_client) as trips:
        cache.get_or_compute("k", DRINKS | {"shop": []}, int)
    assert trips.sent == [("MGET",), ("EVALSHA", "EVALSHA"), ("SET",)]


def test_a_miss_under_stamps_that_stand_is_two(cache, redis_client):
    cache.get_or_compute("k", DRINKS, int)
    with count_round_trips(redis_client) as trips:
        cache.get_or_compute("j", DRINKS, int)
    assert trips.sent == [("MGET",), ("SET",)]


def ask_in_vain(cache, times=IN_VAIN):
    for number in range(times):
        assert cache.get_or_compute("k", {"product": [{"id": number}]}, int) == 0


def trips_of_asking(cache, redis_client, number, **condition):
    dependencies = {"product": [condition or {"id": number}]}
    with count_round_trips(redis_client) as trips:
        cache.get_or_compute("k", dependencies, lambda: number)
    assert cache.get_or_compute("k", dependencies, int) == number
    return trips.sent


ONE_BY_ONE = [("MGET",), ("EVALSHA",), ("SET",)]


def test_where_nothing_has_been_for_long_a_miss_and_its_fill_are_two(cache, redis_client):
    ask_in_vain(cache)
    assert trips_of_asking(cache, redis_client, -1) == [("MGET", "EVALSHA"), ("SET",)]


def test_one_that_was_there_is_reason_enough_to_wait_again(cache, redis_client):
    ask_in_vain(cache)
    cache.get_or_compute("k", {"product": [{"id": 0}]}, int)
    assert trips_of_asking(cache, redis_client, -1) == ONE_BY_ONE


def test_a_hit_is_reason_enough_to_wait_again(cache, redis_client):
    cache.get_or_compute("k", {"product": [{"id": -1}]}, int)
    ask_in_vain(cache, IN_VAIN - 2)
    assert cache.fetch("k", {"product": [{"id": -1}]}).is_hit
    with count_round_trips(redis_client) as trips:
        for number in (-2, -3):
            cache.fetch("k", {"product": [{"id": number}]})
    assert trips.sent == [("MGET",), ("EVALSHA",)] * 2


def test_what_is_asked_by_another_field_is_another_thing(cache, redis_client):
    ask_in_vain(cache)
    assert trips_of_asking(cache, redis_client, -1, category=7) == ONE_BY_ONE


def test_what_is_there_after_all_is_served(cache, redis_client):
    Cache(redis_client, prefix="p:").get_or_compute("k", DRINKS, lambda: "rows")
    for number in range(IN_VAIN):
        cache.get_or_compute("k", {"product": [{"category": -number}]}, int)
    assert cache.get_or_compute("k", DRINKS, int) == "rows"


def test_a_fence_is_seen_where_nothing_has_been_for_long(cache, compute):
    ask_in_vain(cache)
    with cache.writing(("product", {"id": -1})):
        assert [cache.get_or_compute("k", {"product": [{"id": -1}]}, compute) for _ in range(2)] == [1, 2]


def test_a_server_that_takes_no_more_serves_what_it_has(cache, redis_client):
    cache.get_or_compute("k", DRINKS, lambda: "rows")
    for number in range(1, IN_VAIN + 1):
        cache.fetch("k", {"product": [{"category": -number}]})
    redis_client.config_set("maxmemory", 1)
    try:
        assert cache.fetch("k", DRINKS).value == "rows"
    finally:
        redis_client.config_set("maxmemory", 0)


def test_what_fails_to_be_acquired_ahead_is_only_read_the_next_time(cache, redis_client):
    cache.get_or_compute("k", DRINKS, lambda: "rows")
    for number in range(1, IN_VAIN + 1):
        cache.fetch("k", {"product": [{"category": -number}]})
    # A client of this server that may do no more than read.
    redis_client.execute_command("ACL SETUSER default -evalsha -eval")
    try:
        with pytest.raises(BackendError):
            cache.fetch("k", DRINKS)
        assert cache.fetch("k", DRINKS).value == "rows"
    finally:
        redis_client.execute_command("ACL SETUSER default +@all")


def test_an_entry_lives_for_its_timeout(cache, redis_client):
    lookup = cache.fetch("k", DRINKS, timeout=50)
    cache.fill(lookup, 1)
    assert 45_000 < redis_client.pttl(lookup.key) <= 50_000


def test_stamps_live_for_longer_than_any_entry(cache, redis_client):
    cache.fill(cache.fetch("short", DRINKS, timeout=1), 1)
    lookup = cache.fetch("long", DRINKS, timeout=5000)
    cache.fill(lookup, 1)
    assert min(map(redis_client.pttl, lookup.stamps.keys)) > redis_client.pttl(lookup.key)


def test_an_entry_for_ever_makes_its_stamps_live_for_ever(cache, redis_client):
    cache.fill(cache.fetch("short", DRINKS, timeout=1), 1)
    lookup = cache.fetch("long", DRINKS, timeout=None)
    cache.fill(lookup, 1)
    assert {*map(redis_client.pttl, lookup.stamps.keys), redis_client.pttl(lookup.key)} == {-1}


def test_the_youngest_stamp_tells_when_it_was_born(cache, redis_client):
    seconds, microseconds = redis_client.time()
    lookup = cache.fetch("k", DRINKS)
    [born] = lookup.youngest.values()
    assert 0 <= born - (seconds * 1_000_000 + microseconds) < 60_000_000


def test_stamps_are_known_since_this_process_saw_them_first(cache):
    before = time.monotonic()
    first, second = cache.fetch("k", DRINKS), cache.fetch("j", DRINKS)
    assert before <= first.known_since == second.known_since <= time.monotonic()
    cache.invalidate("product")
    third = cache.fetch("k", DRINKS)
    assert third.known_since > first.known_since


def test_the_stamps_of_a_hit_are_known_too(redis_client):
    before = Cache(redis_client)
    before.fill(before.fetch("k", DRINKS), "rows")
    cache = Cache(redis_client)
    hit, miss = cache.fetch("k", DRINKS), cache.fetch("j", DRINKS)
    assert hit.is_hit
    assert hit.known_since == miss.known_since


def test_stamps_that_are_not_remembered_are_known_anew(cache, monkeypatch):
    monkeypatch.setattr(reading_verbs, "KNOWN_DEPENDENCIES", 2)
    first = cache.fetch("k", DRINKS)
    for number in range(2):
        cache.fetch("k", {"other": [{"a": number}]})
    assert len(cache._seen) == 2
    assert cache.fetch("k", DRINKS).known_since > first.known_since


def test_what_may_not_be_filled_is_not_known(cache):
    with cache.writing("product"):
        assert cache.fetch("k", DRINKS).known_since == inf


def test_a_lookup_that_may_not_be_filled_has_no_youngest_stamp(cache):
    with cache.writing("product"):
        lookup = cache.fetch("k", DRINKS)
    assert lookup.youngest == {}
    assert not cache.fill(lookup, 1)


def test_an_answer_that_cannot_be_stored_is_told_once(cache, caplog):
    for key in ("k", "j"):
        assert not cache.fill(cache.fetch(key, DRINKS), lambda: None)
    assert ["is not stored" in message for message in caplog.messages] == [True]


def test_dependencies_on_nothing_are_all_right(cache, compute):
    assert [cache.get_or_compute("k", Dependencies(), compute) for _ in range(2)] == [1, 1]


# Garbage

TYPES = {
    "string": lambda client, key: client.set(key, b"\xffgarbage"),
    "list": lambda client, key: client.rpush(key, "garbage"),
    "set": lambda client, key: client.sadd(key, b"\xffgarbage"),
    "hash": lambda client, key: client.hset(key, "garbage", "garbage"),
    "stream": lambda client, key: client.xadd(key, {"garbage": "garbage"}),
    "sorted set": lambda client, key: client.zadd(key, {"garbage": 10**15}),
}

KEYS = {
    "entry": None,
    "generation": "p:g:{product}",
    "registry": "p:s:{product}",
    "units": "p:f:{product}",
    "stamp": "p:c:{product}:category=7",
}


@pytest.mark.parametrize("put", TYPES.values(), ids=TYPES)
@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_garbage_is_a_miss_and_then_gone(cache, redis_client, compute, key, put):
    cache.get_or_compute("k", DRINKS, compute)
    name = key or cache.fetch("k", DRINKS).key
    redis_client.delete(name)
    put(redis_client, name)
    cache.get_or_compute("k", DRINKS, compute)
    cache.invalidate("product", A_DRINK)
    answer = cache.get_or_compute("k", DRINKS, compute)
    assert answer > 1
    assert cache.get_or_compute("k", DRINKS, compute) == answer


@pytest.mark.parametrize("put", [TYPES["list"], TYPES["hash"]], ids=["list", "hash"])
@pytest.mark.parametrize(
    "key", [key for key in KEYS.values() if key], ids=[name for name in KEYS if KEYS[name]]
)
def test_garbage_in_the_bookkeeping_is_one_line_in_the_log(cache, redis_client, compute, caplog, key, put):
    redis_client.delete(key)
    put(redis_client, key)
    for _ in range(2):
        cache.get_or_compute("k", DRINKS, compute)
    assert [key in message and "none of ours" in message for message in caplog.messages] == [True]


@pytest.mark.parametrize("entry", [b"garbage", b"", FORMAT, b"\xff" + bytes(40)])
def test_an_entry_that_is_none_is_one_line_in_the_log(cache, redis_client, caplog, entry):
    redis_client.set(cache.fetch("k", DRINKS).key, entry)
    assert cache.get_or_compute("k", DRINKS, lambda: "rows") == "rows"
    assert cache.get_or_compute("k", DRINKS, lambda: "other") == "rows"
    assert ["is no entry" in message for message in caplog.messages] == [True]


class Gone:
    """A class that a deployment removes."""


def test_an_entry_of_a_class_that_is_gone_is_one_line_in_the_log(cache, redis_client, caplog):
    lookup = cache.fetch("k", DRINKS)
    assert lookup.head
    payload = pickle.dumps(Gone()).replace(b"Gone", b"None")
    redis_client.set(lookup.key, lookup.head + payload)
    assert cache.get_or_compute("k", DRINKS, lambda: "rows") == "rows"
    assert cache.get_or_compute("k", DRINKS, lambda: "other") == "rows"
    assert ["counts as a miss" in message for message in caplog.messages] == [True]


# Bounds


def test_a_query_that_asks_for_too_much_depends_on_the_whole_table(redis_client):
    cache = Cache(redis_client, max_conjunctions=3)
    fine = cache.fetch("k", {"product": [{"id": i} for i in range(3)]})
    coarse = cache.fetch("k", {"product": [{"id": i} for i in range(4)]})
    assert [len(lookup.stamps.keys) for lookup in (fine, coarse)] == [4, 2]


def test_a_table_with_all_its_schemes_takes_further_ones_as_any_row(redis_client, compute):
    cache = Cache(redis_client, max_schemes=2)
    for field in ("a", "b"):
        cache.get_or_compute("k", {"product": [{field: 1}]}, compute)
    further = {"product": [{"c": 1}]}
    assert cache.fetch("k", further).head is None
    assert [cache.get_or_compute("k", further, compute) for _ in range(2)] == [3, 3]
    cache.invalidate("product", {"a": 5, "b": 5, "c": 5})
    assert cache.get_or_compute("k", further, compute) == 4


def test_names_that_another_thread_made_before_a_table_was_full_are_forgotten(redis_client, compute):
    cache = Cache(redis_client, max_schemes=1)
    cache.get_or_compute("k", {"product": [{"a": 1}]}, compute)
    further = Dependencies.coerce({"product": [{"b": 1}]})
    fine = cache.fetch("k", further).stamps
    cache._stamps[further] = fine
    assert cache.fetch("k", further).head is None
    assert cache.fetch("k", further).head


def test_a_table_that_is_full_learns_when_there_is_room_again(redis_client, compute):
    cache = Cache(redis_client, max_schemes=1)
    for field in ("a", "b", "b"):
        cache.get_or_compute("k", {"product": [{field: 1}]}, compute)
    redis_client.flushall()
    cache.invalidate("product")
    lookup = cache.fetch("k", {"product": [{"b": 1}]})
    assert lookup.stamps.keys[-1].endswith("b=1")
    assert lookup.head


def test_what_a_cache_remembers_is_bounded(cache, monkeypatch):
    monkeypatch.setattr("cacheops_core.reading_verbs.KNOWN_DEPENDENCIES", 5)
    for i in range(20):
        cache.fetch("k", {"product": [{"id": i}]})
    assert len(cache._stamps) == 5


# Writing


def test_a_write_drops_what_it_touches_and_nothing_else(cache, compute):
    books = {"product": [{"category": 8}]}
    cache.get_or_compute("k", DRINKS, compute)
    cache.get_or_compute("k", books, compute)
    with cache.writing(("product", A_DRINK)):
        pass
    assert not cache.fetch("k", DRINKS).is_hit
    assert cache.fetch("k", books).is_hit


def test_a_move_drops_where_a_row_was_and_where_it_is(cache, compute):
    books = {"product": [{"category": 8}]}
    cache.get_or_compute("k", DRINKS, compute)
    cache.get_or_compute("k", books, compute)
    with cache.writing(("product", A_DRINK), ("product", A_DRINK | {"category": 8})):
        pass
    assert not cache.fetch("k", DRINKS).is_hit
    assert not cache.fetch("k", books).is_hit


def test_nothing_is_stored_while_somebody_writes(cache, compute):
    with cache.writing(("product", A_DRINK)):
        assert [cache.get_or_compute("k", DRINKS, compute) for _ in range(2)] == [1, 2]
    assert [cache.get_or_compute("k", DRINKS, compute) for _ in range(2)] == [3, 3]


def test_a_write_that_fails_opens_what_it_had_fenced(cache, compute):
    with pytest.raises(ZeroDivisionError), cache.writing(("product", A_DRINK)):
        1 / 0  # noqa: B018  # stands for a transaction that fails
    assert [cache.get_or_compute("k", DRINKS, compute) for _ in range(2)] == [1, 1]


def test_a_whole_table_is_dropped_by_its_name(cache, compute):
    cache.get_or_compute("k", DRINKS, compute)
    cache.invalidate("product")
    assert not cache.fetch("k", DRINKS).is_hit


def test_a_row_without_a_field_that_somebody_asks_by_drops_the_table(cache, compute):
    cache.get_or_compute("k", DRINKS, compute)
    cache.invalidate("product", {"id": 5})
    assert not cache.fetch("k", DRINKS).is_hit


def test_another_table_is_left_alone(cache, compute):
    cache.get_or_compute("k", DRINKS, compute)
    cache.invalidate("product2")
    assert cache.fetch("k", DRINKS).is_hit


def test_an_answer_from_two_tables_is_dropped_with_either(cache, compute):
    both = DRINKS | {"shop": [{"id": 1}]}
    for table, row in (("product", A_DRINK), ("shop", {"id": 1})):
        cache.get_or_compute("k", both, compute)
        cache.invalidate(table, row)
        assert not cache.fetch("k", both).is_hit


def test_ten_thousand_rows_are_two_round_trips(cache, redis_client):
    cache.get_or_compute("k", {"product": [{"id": 1}]}, int)
    with cache.writing("warm"):
        pass
    rows = [("product", {"id": i, "category": 7}) for i in range(10_000)]
    with count_round_trips(redis_client) as trips, cache.writing(*rows):
        pass
    assert trips.sent == [("EVALSHA",), ("EVALSHA",)]


def test_more_rows_than_may_be_fenced_drop_the_table(redis_client, compute):
    cache = Cache(redis_client, max_fences=10)
    cache.get_or_compute("k", {"product": [{"id": 99}]}, compute)
    cache.invalidate("product", *({"id": i} for i in range(11)))
    assert not cache.fetch("k", {"product": [{"id": 99}]}).is_hit


def test_a_unit_can_be_fenced_and_released_by_hand(cache, compute):
    unit = cache.begin()
    unit.add("product", [{"id": "1", "category": "7"}])
    cache.fence(unit)
    assert cache.fetch("k", DRINKS).head is None
    cache.release(unit)
    assert cache.fetch("k", DRINKS).head


def test_the_writer_learns_which_fields_matter(cache):
    cache.fetch("k", {"product": [{"category": 7, "id": 1}, {"id": 1}]})
    cache.invalidate("product", A_DRINK)
    assert cache.registries == {"product": frozenset({("category", "id"), ("id",)})}


def test_everything_below_the_prefix_is_dropped_and_nothing_else(cache, redis_client, compute):
    other = Cache(redis_client, prefix="other:")
    for one in (cache, other):
        one.get_or_compute("k", DRINKS, compute)
        one.set("simple", 1)
    redis_client.set("p:mine", 1)
    cache.invalidate_all()
    assert {key.split(b":")[0] for key in redis_client.scan_iter()} == {b"other", b"p"}
    assert list(redis_client.scan_iter("p:*")) == [b"p:mine"]
    assert other.get("simple") == 1


def test_dropping_everything_leaves_fences_standing(cache):
    with cache.writing(("product", A_DRINK)):
        cache.invalidate_all()
        assert cache.fetch("k", DRINKS).head is None
    assert cache.fetch("k", DRINKS).head


# The simple cache


def test_a_value_is_kept_under_its_key(cache):
    cache.set("k", {"a": [1]})
    assert cache.get("k") == {"a": [1]}
    assert cache.delete("k")
    assert not cache.delete("k")


def test_nothing_under_a_key_raises_unless_there_is_a_default(cache):
    with pytest.raises(CacheMiss, match="k"):
        cache.get("k")
    assert cache.get("k", None) is None


NUMBERS = [0, -5, 7, True, 2**63 - 1, -(2**63), 2**63, 1.0, "7", b"7", None]


@pytest.mark.parametrize("value", NUMBERS, ids=repr)
def test_values_keep_their_type(cache, value):
    cache.set("k", value)
    found = cache.get("k")
    assert (found, type(found)) == (value, type(value))


def test_many_values_are_one_round_trip_each_way(cache, redis_client):
    with count_round_trips(redis_client) as trips:
        cache.set_many({"a": 1, "b": [2], ("c", 3): None})
        assert cache.get_many(["a", "b", ("c", 3), "d"]) == {"a": 1, "b": [2], ("c", 3): None}
    assert trips.sent == [("SET", "SET", "SET"), ("MGET",)]


def test_no_values_are_no_round_trip(cache, redis_client):
    with count_round_trips(redis_client) as trips:
        cache.set_many({})
        assert cache.get_many([]) == {}
    assert trips.count == 0


def test_a_value_that_cannot_be_stored_raises(cache):
    with pytest.raises(DumpError):
        cache.set_many({"a": 1, "b": lambda: None})
    assert cache.get("a", None) is None


def test_only_the_first_is_added(cache):
    assert cache.add("k", 1)
    assert not cache.add("k", 2)
    assert cache.get("k") == 1


def test_numbers_are_counted_up_and_down(cache):
    assert [cache.incr("k"), cache.incr("k", 5), cache.incr("k", -2)] == [1, 6, 4]
    cache.set("j", 10)
    assert cache.incr("j") == cache.get("j") == 11


def test_what_is_no_number_is_not_counted(cache):
    cache.set("k", "text")
    with pytest.raises(ConfigurationError, match="'k'"):
        cache.incr("k")


def test_threads_count_together(cache):
    threads = [threading.Thread(target=lambda: [cache.incr("k") for _ in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.get("k") == 200


@pytest.mark.parametrize("timeout, left", [(50, 50_000), (None, -1)], ids=["for a time", "for ever"])
@pytest.mark.parametrize("verb", ["set", "add", "incr", "touch", "set_many"])
def test_values_live_for_as_long_as_they_are_told_to(cache, redis_client, verb, timeout, left):
    {
        "set": lambda: cache.set("k", 1, timeout),
        "add": lambda: cache.add("k", 1, timeout),
        "incr": lambda: cache.incr("k", timeout=timeout),
        "touch": lambda: [cache.set("k", 1), cache.touch("k", timeout)],
        "set_many": lambda: cache.set_many({"k": 1}, timeout),
    }[verb]()
    (key,) = redis_client.scan_iter()
    assert redis_client.pttl(key) == pytest.approx(left, abs=5000 if left > 0 else 0)


def test_a_number_that_was_set_is_an_answer_too(cache, compute):
    cache.set("k", 5)
    assert cache.get_or_compute("k", {}, compute) == 5


def test_an_answer_that_depends_on_nothing_is_a_value_too(cache):
    cache.get_or_compute("k", {}, lambda: 5)
    assert cache.get("k") == 5
    assert cache.incr("k") == 6


def test_only_what_is_there_is_touched(cache):
    assert not cache.touch("k")
    assert not cache.touch("k", None)


def test_a_counted_number_does_not_live_on_by_being_counted(cache, redis_client):
    cache.incr("k", timeout=50)
    cache.incr("k", timeout=5000)
    (key,) = redis_client.scan_iter()
    assert redis_client.pttl(key) <= 50_000


@pytest.mark.parametrize("put", TYPES.values(), ids=TYPES)
def test_garbage_under_a_key_is_a_miss(cache, redis_client, put):
    cache.set("k", "value")
    (key,) = redis_client.scan_iter()
    redis_client.delete(key)
    put(redis_client, key)
    assert cache.get("k", None) is None


# The server is away


def test_without_degrading_every_verb_raises(down):
    cache, server = down()
    server.kill()
    verbs = (cache.invalidate_all, lambda: cache.fetch("k", DRINKS), lambda: cache.get("k", None))
    for verb in (*verbs, lambda: cache.set("k", 1), lambda: cache.invalidate("product")):
        with pytest.raises(BackendError):
            verb()


def test_without_degrading_a_write_fails_before_its_commit(down):
    cache, server = down()
    server.kill()
    has_committed = False
    with pytest.raises(BackendError), cache.writing("product"):
        has_committed = True
    assert not has_committed


def test_degraded_the_program_goes_on(down, compute):
    cache, server = down(degrade=True)
    server.kill()
    assert [cache.get_or_compute("k", DRINKS, compute, lock=lock) for lock in (False, True)] == [1, 2]
    with cache.writing("product"):
        pass
    cache.set("k", 1)
    cache.invalidate("product")
    assert cache.get("k", None) is None
    assert [cache.add("k", 1), cache.touch("k"), cache.delete("k"), cache.incr("k", 3)] == [
        False,
        False,
        False,
        3,
    ]


@pytest.mark.parametrize("degrade", [False, True], ids=["failing", "degraded"])
def test_a_release_that_could_not_be_sent_is_sent_before_the_cache_is_trusted(down, compute, degrade):
    cache, server = down(degrade=degrade)
    cache.get_or_compute("k", DRINKS, compute)
    unit = cache.unit_of([("product", A_DRINK)])
    with server.paused():
        cache.release(unit)
    assert cache.get_or_compute("k", DRINKS, compute) == 2


def test_an_invalidation_that_could_not_be_sent_is_sent_before_the_cache_is_trusted(down, compute):
    cache, server = down(degrade=True)
    cache.get_or_compute("k", DRINKS, compute)
    with server.paused():
        cache.invalidate("product", A_BOOK, A_DRINK)
    wait_for(lambda: not cache.circuit.is_open)
    assert cache.get_or_compute("k", DRINKS, compute) == 2
    assert cache.get_or_compute("k", DRINKS, compute) == 2


def test_a_unit_that_could_not_release_leaves_its_own_fences_later(redis_server, redis_client):
    proxy = Proxy(redis_server)
    with redis.Redis(host=proxy.host, port=proxy.port, socket_timeout=0.2) as client:
        cache = Cache(client)
        unit = cache.unit_of([("product", A_DRINK)])
        cache.fetch("k", DRINKS)
        cache.fence(unit)
        proxy.behaviour = Silent()
        cache.release(unit)
        proxy.behaviour = Passing()
        assert cache.fetch("k", DRINKS).head
    proxy.close()


def test_a_release_that_could_not_be_sent_is_sent_with_the_next_write_for_the_sake_of_others(down, compute):
    cache, server = down()
    cache.circuit.mend = lambda: None
    with server.client() as client:
        other = Cache(client)
        other.get_or_compute("k", DRINKS, compute)
        with server.paused():
            cache.release(cache.unit_of([("product", A_DRINK)]))
        with cache.writing("category"):
            pass
        assert other.get_or_compute("k", DRINKS, compute) == 2


def test_a_server_that_comes_back_empty_is_used_again(down, compute):
    cache, server = down(degrade=True)
    cache.get_or_compute("k", DRINKS, compute)
    server.restart()
    assert [cache.get_or_compute("k", DRINKS, compute) for _ in range(3)][-2:] == [2, 2]


def test_a_lock_is_not_pretended(down):
    cache, server = down(degrade=True)
    server.kill()
    with pytest.raises(BackendError), cache.lock("name"):
        pass


# Making one


def test_options_can_be_given_as_a_whole_and_changed(redis_client):
    cache = Cache(redis_client, options=CacheOptions(prefix="a:", timeout=5), timeout=7)
    assert cache.options == CacheOptions(prefix="a:", timeout=7)


def test_a_url_will_do(redis_server, redis_client):
    cache = Cache(redis_server.url)
    cache.set("k", 1)
    assert cache.get("k") == 1
    cache.driver.client.close()


def test_an_embedded_server_will_do(tmp_path):
    from cacheops_core import embedded

    cache = Cache(f"embedded://{tmp_path}")
    cache.set("k", 1)
    assert cache.get("k") == 1
    cache.driver.client.close()
    embedded.stop()


@pytest.mark.parametrize("url", ["http://localhost", "localhost:6379", ""])
def test_a_url_of_another_kind_is_refused(url):
    with pytest.raises(ConfigurationError, match="redis://"):
        connect(url)


def test_a_server_that_does_not_answer_is_waited_for_once():
    with start_server() as server:
        cache = Cache(server.url)
        cache.set("k", 1)
        with server.paused(), count_round_trips(cache.driver.client) as trips, pytest.raises(BackendError):
            cache.get("k")
        assert trips.count == 1
        cache.driver.client.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_process_that_is_forked_goes_on(cache, compute):
    cache.get_or_compute("k", DRINKS, compute, lock=True)
    child = os.fork()
    if not child:
        os._exit(0 if cache.get_or_compute("j", DRINKS, lambda: 5, lock=True) == 5 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert cache.get_or_compute("j", DRINKS, compute) == 5


@pytest.fixture(autouse=True)
def warnings_in_the_log(caplog):
    caplog.set_level(logging.WARNING, "cacheops")
