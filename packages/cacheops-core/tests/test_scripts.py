"""The Lua scripts against real servers, line by line."""

import struct

import pytest

from cacheops_core import flows
from cacheops_core.conditions import LONG_TEXT, Dependencies, conjunction, conjunction_text
from cacheops_core.drivers import SyncDriver
from cacheops_core.errors import BackendError
from cacheops_core.flows import Call
from cacheops_core.scripts import ACQUIRE, DROP, Script
from cacheops_core.stamps import FORMAT, GENERATION, StampKeys
from cacheops_core.testing import start_server

G, S, F, C = "g:{t}", "s:{t}", "f:{t}", "c:{t}:"
SOON = 1_000_000


class Scripts:
    """The scripts, with what does not matter filled in."""

    def __init__(self, client):
        self.client, self.driver, self.drawn = client, SyncDriver(client), 0

    def acquire(self, *conjunctions, lifetime=SOON, most=32, nonce=None):
        self.drawn += 1
        stamps = StampKeys.of("", Dependencies.coerce({"t": conjunctions}))
        return self.driver.run(flows.acquire(stamps, lifetime, most, nonce or struct.pack(">I", self.drawn)))

    def fence(self, *rows, unit="u", lifetime=SOON, most=1000):
        return self.driver.run(flows.fence("", unit, {"t": rows or None}, lifetime, most))["t"]

    def release(self, *rows, unit="u", most=1000):
        return self.driver.run(flows.release("", unit, {"t": rows or None}, most))["t"]

    def clock(self):
        seconds, microseconds = self.client.time()
        return seconds * 1_000_000 + microseconds

    def fenced(self):
        return {key.decode() for key in self.client.scan_iter() if self.client.type(key) == b"zset"}


@pytest.fixture
def scripts(redis_client):
    return Scripts(redis_client)


# Acquire


def test_generation_registry_and_stamps_are_born_together(scripts, redis_client):
    before = scripts.clock()
    head = scripts.acquire({"a": 1}, {"a": 2}, {"a": 1, "b": 2}).head
    assert redis_client.smembers(S) == {b"a", b"a&b"}
    generation, *stamps = redis_client.mget(G, C + "a=1", C + "a=1&b=2", C + "a=2")
    assert head == FORMAT + generation + b"".join(stamp[GENERATION:] for stamp in stamps)
    assert {stamp[:GENERATION] for stamp in stamps} == {generation}
    assert before <= struct.unpack(">Q", generation[:8])[0] <= scripts.clock()


def test_what_is_there_is_kept(scripts):
    assert scripts.acquire({"a": 1}).head == scripts.acquire({"a": 1}).head


def test_nothing_is_born_twice_even_at_the_same_instant(scripts, redis_client):
    first = scripts.acquire({}, nonce=b"1234").head
    redis_client.flushall()
    assert first[-4:] == b"1234"
    assert scripts.acquire({}, nonce=b"5678").head[-4:] == b"5678"


def test_a_generation_of_another_run_makes_all_stamps_new(scripts, redis_client):
    scripts.acquire({"a": 1})
    old = redis_client.mget(G, C + "a=1")
    generation = old[0][:-4] + b"past"
    redis_client.mset({G: generation, C + "a=1": generation + old[1][GENERATION:]})
    scripts.acquire({"a": 1})
    new = redis_client.mget(G, C + "a=1")
    assert new[0][-4:] == old[0][-4:]
    assert (new[0] != old[0], new[1].startswith(new[0])) == (True, True)


def test_nothing_is_acquired_of_a_server_whose_run_is_not_known(redis_client):
    keys = (G, S, F, C + "a=1")
    call = Call(Script("acquire", ACQUIRE.source), keys, (SOON, 32, b"1234", b"", "a"))
    assert SyncDriver(redis_client).execute(call) == [b"fenced", [], []]
    assert redis_client.dbsize() == 0


@pytest.mark.parametrize("lost", [G, S])
def test_a_lost_generation_or_registry_makes_all_stamps_new(scripts, redis_client, lost):
    scripts.acquire({"a": 1})
    old = redis_client.mget(G, C + "a=1")
    redis_client.delete(lost)
    scripts.acquire({"a": 1})
    assert not set(old) & set(redis_client.mget(G, C + "a=1"))


def test_a_lost_stamp_is_born_again_under_its_generation(scripts, redis_client):
    scripts.acquire({"a": 1})
    generation, old = redis_client.mget(G, C + "a=1")
    redis_client.delete(C + "a=1")
    scripts.acquire({"a": 1})
    found = redis_client.mget(G, C + "a=1")
    assert found[0] == generation
    assert found[1] != old
    assert found[1].startswith(generation)


def test_bookkeeping_lives_for_as_long_as_it_is_asked_for(scripts, redis_client):
    scripts.acquire({"a": 1}, lifetime=50_000)
    assert all(49_000 < redis_client.pttl(key) <= 50_000 for key in (G, S, C + "a=1"))


def test_bookkeeping_lives_on_for_the_longest_that_was_asked_for(scripts, redis_client):
    for lifetime in (50_000, 90_000, 10_000):
        scripts.acquire({"a": 1}, lifetime=lifetime)
    assert all(redis_client.pttl(key) > 80_000 for key in (G, S, C + "a=1"))


def test_bookkeeping_for_ever_stays_so(scripts, redis_client):
    for lifetime in (50_000, 0, 10_000):
        scripts.acquire({"a": 1}, lifetime=lifetime)
    assert all(redis_client.pttl(key) == -1 for key in (G, S, C + "a=1"))


def test_a_new_registry_may_live_for_ever(scripts, redis_client):
    scripts.acquire({"a": 1}, lifetime=0)
    assert all(redis_client.pttl(key) == -1 for key in (G, S, C + "a=1"))


def test_a_full_registry_takes_no_further_scheme(scripts, redis_client):
    scripts.acquire({"a": 1}, {"b": 1}, most=2)
    acquired = scripts.acquire({"c": 1}, most=2)
    assert acquired.head is None
    assert acquired.full == {"t": frozenset({("a",), ("b",)})}
    assert redis_client.smembers(S) == {b"a", b"b"}


def test_a_full_registry_still_takes_any_row_and_what_it_knows(scripts):
    scripts.acquire({"a": 1}, {"b": 1}, most=2)
    assert scripts.acquire({}, most=2).head
    assert scripts.acquire({"a": 5}, most=2).head


@pytest.mark.parametrize("place", [G, F, C + "a=1"], ids=["generation", "registry of units", "stamp"])
def test_nothing_is_acquired_through_a_fence(scripts, redis_client, place):
    scripts.acquire({"b": 1})
    redis_client.delete(place)
    redis_client.zadd(place, {"u": 10**15})
    redis_client.pexpire(place, SOON)
    assert scripts.acquire({"a": 1}).head is None


def test_a_known_scheme_is_acquired_beside_a_unit_that_commits_elsewhere(scripts):
    scripts.acquire({"a": 1})
    scripts.fence({"a": "2"})
    assert scripts.acquire({"a": 1}).head


def test_a_lost_registry_is_not_made_while_a_unit_commits(scripts, redis_client):
    scripts.acquire({"a": 1})
    scripts.fence({"a": "2"})
    redis_client.delete(S)
    assert scripts.acquire({"a": 1}).head is None
    assert not redis_client.exists(S)


def test_a_dead_unit_is_no_fence_even_if_others_keep_the_key_alive(scripts, redis_client):
    scripts.acquire({"a": 1})
    for place in (G, F, C + "a=1"):
        redis_client.delete(place)
        redis_client.zadd(place, {"dead": scripts.clock() / 1000 - 1})
        redis_client.pexpire(place, SOON)
    assert scripts.acquire({"a": 1}).head


TYPES = {
    "string": lambda client, key: client.set(key, "garbage"),
    "list": lambda client, key: client.rpush(key, "garbage"),
    "set": lambda client, key: client.sadd(key, "garbage"),
    "hash": lambda client, key: client.hset(key, "garbage", "garbage"),
    "stream": lambda client, key: client.xadd(key, {"garbage": "garbage"}),
    "sorted set without end": lambda client, key: client.zadd(key, {"garbage": 10**15}),
}


@pytest.mark.parametrize("put", TYPES.values(), ids=TYPES)
@pytest.mark.parametrize("key", [G, S, F, C + "a=1"], ids=["generation", "registry", "units", "stamp"])
def test_garbage_is_replaced_and_told(scripts, redis_client, key, put):
    scripts.acquire({"a": 1})
    redis_client.delete(key)
    put(redis_client, key)
    if key == S and redis_client.type(key) == b"set":
        return  # a set is what belongs there
    acquired = scripts.acquire({"a": 1})
    assert acquired.head
    assert acquired.garbage == (key,)
    assert scripts.acquire({"a": 1}).garbage == ()


# Fence


def test_a_fence_stands_in_place_of_a_stamp(scripts, redis_client):
    scripts.acquire({"a": 1})
    scripts.fence({"a": "1"})
    assert scripts.fenced() == {F, C + "a=1"}
    assert redis_client.zrange(C + "a=1", 0, -1) == [b"u"]


def test_a_fence_stands_whether_or_not_a_stamp_was_there(scripts):
    scripts.acquire({"a": 1})
    scripts.fence({"a": "2"})
    assert scripts.fenced() == {F, C + "a=2"}


def test_a_row_is_fenced_once_for_each_scheme(scripts):
    scripts.acquire({"a": 1}, {"a": 1, "b": 1}, {"b": 1}, {"c": None})
    scripts.fence({"a": "2", "b": "3", "c": None}, {"a": "2", "b": "4", "c": None})
    expected = {"a=2", "a=2&b=3", "a=2&b=4", "b=3", "b=4", "c"}
    assert scripts.fenced() == {F, *(C + text for text in expected)}


def test_any_row_is_a_scheme_of_its_own(scripts):
    scripts.acquire({})
    scripts.acquire({"a": 1})
    scripts.fence({"a": "1"})
    assert scripts.fenced() == {F, C, C + "a=1"}


TEXTS = {
    "of the limit": "x" * (LONG_TEXT - 2),
    "digested": "x" * (LONG_TEXT - 1),
    "not ASCII and digested": "é" * 99,
    "of the grammar": 'é&=%"\\\n\x00#',
    "empty": "",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_scripts_and_queries_agree_on_the_keys_of_values(scripts, text):
    scripts.acquire({"a": text})
    scripts.fence({"a": text})
    assert scripts.fenced() == {F, C + conjunction_text(conjunction({"a": text}))}


def test_a_row_that_does_not_know_a_field_fences_the_whole_table(scripts):
    scripts.acquire({"a": 1})
    scripts.fence({"b": "1"})
    assert scripts.fenced() == {F, G}


def test_a_whole_table_is_one_fence(scripts):
    scripts.acquire({"a": 1}, {"a": 2})
    scripts.fence()
    assert scripts.fenced() == {F, G}


def test_more_rows_than_may_be_fenced_fence_the_whole_table(scripts):
    scripts.acquire({"a": 1})
    scripts.fence({"a": "1"}, {"a": "2"}, most=2)
    assert scripts.fenced() == {F, C + "a=1", C + "a=2"}
    scripts.fence({"a": "1"}, {"a": "2"}, {"a": "3"}, most=2, unit="v")
    assert G in scripts.fenced()


def test_without_a_registry_the_generation_goes(scripts, redis_client):
    scripts.acquire({"a": 1})
    redis_client.delete(S)
    assert scripts.fence({"a": "1"}) == frozenset()
    assert not redis_client.exists(G)


def test_without_a_registry_a_fence_in_place_of_the_generation_stays(scripts, redis_client):
    scripts.fence(unit="v")
    redis_client.delete(S)
    scripts.fence({"a": "1"})
    assert redis_client.zrange(G, 0, -1) == [b"v"]


def test_a_fence_has_an_end(scripts, redis_client):
    scripts.acquire({"a": 1})
    scripts.fence({"a": "1"}, lifetime=5000)
    assert all(4000 < redis_client.pttl(key) <= 5000 for key in (F, C + "a=1"))
    assert redis_client.zscore(F, "u") == pytest.approx(scripts.clock() / 1000 + 5000, abs=1000)


def test_a_short_fence_does_not_cut_a_long_one_short(scripts, redis_client):
    scripts.acquire({"a": 1})
    scripts.fence({"a": "1"}, unit="long", lifetime=50_000)
    scripts.fence({"a": "1"}, unit="short", lifetime=10)
    assert redis_client.pttl(C + "a=1") > 40_000


def test_fence_and_release_return_the_registry(scripts):
    scripts.acquire({"a": 1}, {"a": 1, "b": 2})
    assert (
        scripts.fence({"a": "1", "b": "1"}) == scripts.release({"a": "1", "b": "1"}) == {("a",), ("a", "b")}
    )


@pytest.mark.parametrize("put", TYPES.values(), ids=TYPES)
@pytest.mark.parametrize("key", [G, S, F, C + "a=1"], ids=["generation", "registry", "units", "stamp"])
def test_no_garbage_stops_a_writer(scripts, redis_client, key, put):
    old = scripts.acquire({"a": 1}).head
    redis_client.delete(key)
    put(redis_client, key)
    scripts.fence({"a": "1"})
    scripts.release({"a": "1"})
    new = scripts.acquire({"a": 1}).head
    assert new is not None
    assert new != old


# Release


def test_a_released_fence_is_gone(scripts):
    scripts.acquire({"a": 1})
    scripts.fence({"a": "1"})
    scripts.release({"a": "1"})
    assert scripts.fenced() == set()
    assert scripts.acquire({"a": 1}).head


def test_a_released_whole_table_is_open_and_new(scripts, redis_client):
    scripts.acquire({"a": 1})
    old = redis_client.get(G)
    scripts.fence()
    scripts.release()
    assert not redis_client.exists(G)
    assert scripts.acquire({"a": 1}).head
    assert redis_client.get(G) != old


def test_a_fence_stands_until_all_units_have_left(scripts):
    scripts.acquire({"a": 1})
    scripts.fence({"a": "1"}, unit="u")
    scripts.fence({"a": "1"}, unit="v")
    scripts.release({"a": "1"}, unit="u")
    assert scripts.acquire({"a": 1}).head is None
    scripts.release({"a": "1"}, unit="v")
    assert scripts.acquire({"a": 1}).head


def test_the_fence_of_a_whole_table_stands_until_all_units_have_left(scripts):
    for unit in "uv":
        scripts.fence(unit=unit)
    scripts.release(unit="u")
    assert scripts.acquire({}).head is None
    scripts.release(unit="v")
    assert scripts.acquire({}).head


def test_a_stamp_in_place_of_a_fence_is_dropped(scripts, redis_client):
    scripts.acquire({"a": 1}, {"a": 2})
    scripts.release({"a": "1"})
    assert redis_client.mget(C + "a=1", C + "a=2")[0] is None
    assert redis_client.exists(C + "a=2")


def test_the_stamp_of_a_newcomer_is_dropped_too(scripts, redis_client):
    scripts.acquire({"a": 1})
    scripts.fence({"a": "1", "b": "1"})
    redis_client.delete(F)
    assert scripts.acquire({"b": 1}).head
    scripts.release({"a": "1", "b": "1"})
    assert not redis_client.exists(C + "b=1")


def test_a_release_without_a_registry_drops_the_generation(scripts, redis_client):
    scripts.acquire({"a": 1})
    redis_client.delete(S)
    scripts.release({"a": "1"})
    assert not redis_client.exists(G)


def test_a_whole_table_that_was_fenced_is_left_even_if_rows_would_do_now(scripts, redis_client):
    scripts.acquire({"b": 1})
    scripts.fence({"a": "1"})
    redis_client.delete(S)
    redis_client.sadd(S, "a")
    scripts.release({"a": "1"})
    assert scripts.fenced() == set()


def test_sending_a_release_twice_is_no_harm(scripts):
    scripts.acquire({"a": 1})
    scripts.fence({"a": "1"}, unit="v")
    for _ in range(2):
        scripts.release({"a": "1"}, unit="u")
    assert scripts.acquire({"a": 1}).head is None


# All


def test_an_entry_a_stamp_and_a_registry_are_dropped_but_no_fence(scripts, redis_client):
    scripts.acquire({"a": 1})
    scripts.fence({"a": "2"})
    for key in (G, S, C + "a=1", C + "a=2"):
        scripts.driver.execute(flows.Call(DROP, (key,), ()))
    assert {key.decode() for key in redis_client.scan_iter()} == {F, C + "a=2"}


def test_a_server_out_of_memory_refuses_a_fence_and_keeps_those_of_others():
    with start_server(maxmemory="100mb", maxmemory_policy="noeviction") as server, server.client() as client:
        scripts = Scripts(client)
        scripts.acquire({"a": 1})
        scripts.fence({"a": "1"}, unit="v")
        client.config_set("maxmemory", 1)
        with pytest.raises(BackendError):
            scripts.fence({"a": "1"})
        assert client.zrange(F, 0, -1) == client.zrange(C + "a=1", 0, -1) == [b"v"]
        scripts.release({"a": "1"}, unit="v")
        assert scripts.fenced() == set()


def test_ten_thousand_rows_are_fenced_without_looking_at_each_pair_of_them(scripts, redis_client):
    def worked():
        return redis_client.info("cpu")["used_cpu_user"]

    scripts.acquire({"a": 1}, {"b": 1})
    rows = [{"a": str(i), "b": str(i % 10)} for i in range(10_000)]
    before = worked()
    scripts.fence(*rows, most=50_000)
    assert len(scripts.fenced()) == 10_011
    # It takes a tenth of a second; ten times that is for slow machines, and pairs would take a hundred times that.
    assert worked() - before < 10
