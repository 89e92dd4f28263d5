"""Signed payloads: what an intruder stores, changes, moves or keeps is a miss, and never reaches a serializer."""

import logging
import pickle
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cacheops_core import Cache, simple
from cacheops_core.errors import CacheMiss, ConfigurationError
from cacheops_core.flows import Command
from cacheops_core.near import MISS
from cacheops_core.options import CacheOptions
from cacheops_core.serializers import LoadError, dump, load
from cacheops_core.signing import Signed
from cacheops_core.stamps import FORMAT
from cacheops_core.testing.contract import DependentCacheContract, LockContract, SimpleCacheContract

KEY, NEXT, OTHER = "a key of the project", b"the project's next key", "a key of somebody else"
DRINKS = {"product": [{"category": 7}]}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
PLACES = st.lists(st.text(max_size=8) | st.binary(max_size=8), max_size=3).map(tuple)

quick = settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Trap:
    """A serializer that nothing unsigned may reach."""

    reached = False

    def dumps(self, value):
        return pickle.dumps(value)

    def loads(self, payload):
        self.reached = True
        return pickle.loads(payload)


def flipped(payload, bit):
    changed = bytearray(payload)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def told(place):
    return [part.encode() if isinstance(part, str) else part for part in place]


# The serializer


@quick
@given(value=VALUES, place=PLACES)
def test_values_come_back_where_they_belong(value, place):
    signed = Signed("pickle", KEY)
    assert load(signed, dump(signed, value, place), place) == value


@quick
@given(value=VALUES, place=PLACES, data=st.data())
def test_a_payload_with_any_bit_flipped_does_not_load(value, place, data):
    signed = Signed(trap := Trap(), KEY)
    payload = dump(signed, value, place)
    bit = data.draw(st.integers(0, 8 * len(payload) - 1))
    with pytest.raises(LoadError):
        load(signed, flipped(payload, bit), place)
    assert not trap.reached


@quick
@given(value=VALUES, place=PLACES, data=st.data())
def test_a_payload_that_is_cut_off_or_longer_does_not_load(value, place, data):
    signed = Signed(trap := Trap(), KEY)
    payload = dump(signed, value, place)
    length = data.draw(st.integers(0, len(payload) - 1))
    for changed in (payload[:length], payload + b"\0", payload[length:]):
        if changed != payload:
            with pytest.raises(LoadError):
                load(signed, changed, place)
    assert not trap.reached


@quick
@given(value=VALUES, place=PLACES, other=PLACES)
def test_a_payload_of_another_place_does_not_load(value, place, other):
    signed = Signed("pickle", KEY)
    payload = dump(signed, value, place)
    if told(place) != told(other):
        with pytest.raises(LoadError, match="not signed for this place"):
            load(signed, payload, other)


def test_nothing_moves_from_one_part_of_a_place_to_the_next():
    signed = Signed("pickle", KEY)
    payloads = [dump(signed, 1, place) for place in [("ab", "c"), ("a", "bc"), ("abc",), ("abc", "")]]
    assert len(set(payloads)) == 4


@quick
@given(payload=st.binary())
def test_bytes_of_strangers_do_not_load(payload):
    signed = Signed(trap := Trap(), KEY)
    for forged in (payload, dump(Signed("pickle", OTHER), payload)):
        with pytest.raises(LoadError):
            load(signed, forged)
    assert not trap.reached


# Keys


def test_the_first_key_signs_and_each_key_verifies():
    old, both, new = Signed("json", KEY), Signed("json", [NEXT, KEY]), Signed("json", NEXT)
    assert load(both, dump(old, 1)) == 1
    assert load(new, dump(both, 1)) == 1


def test_what_a_key_that_was_removed_has_signed_does_not_load():
    with pytest.raises(LoadError, match="by a key of ours"):
        load(Signed("json", NEXT), dump(Signed("json", [KEY, NEXT]), 1))


WRONG = {
    "a short key": ("hush", "16 bytes or more.*got 4 bytes.*token_urlsafe"),
    "an empty key": ("", "got 0 bytes"),
    "a short key in a list": ([KEY, b"hush"], "got 4 bytes"),
    "a number": (12345678901234567890, "got a value of type int"),
    "nothing": (None, "got a value of type NoneType"),
    "no keys": ([], "is an empty list"),
}


@pytest.mark.parametrize("key, message", WRONG.values(), ids=WRONG)
def test_wrong_keys_are_refused_and_not_told(key, message):
    with pytest.raises(ConfigurationError, match=message) as raised:
        Signed("pickle", key)
    assert "hush" not in str(raised.value)


def test_options_refuse_wrong_keys_and_do_not_tell_right_ones():
    with pytest.raises(ConfigurationError, match="signing_key must be a key"):
        CacheOptions(signing_key="hush")
    assert KEY not in repr(CacheOptions(signing_key=KEY))


# The cache


@pytest.fixture
def cache(redis_client):
    return Cache(redis_client, signing_key=KEY)


def stored(cache, key="k", value=("rows",), dependencies=DRINKS):
    """Store an answer and return the name of its entry."""
    lookup = cache.fetch(key, dependencies)
    assert cache.fill(lookup, value)
    assert cache.fetch(key, dependencies).value == value
    return lookup.key


class TestSignedAndCompressed(SimpleCacheContract, DependentCacheContract, LockContract):
    @pytest.fixture
    def cache(self, redis_client):
        return Cache(redis_client, signing_key=KEY, compression="zstd", compress_above=1)


def test_an_entry_with_any_bit_flipped_is_a_miss(cache, redis_client):
    name = stored(cache)
    entry = redis_client.get(name)
    for bit in range(8 * len(entry)):
        redis_client.set(name, flipped(entry, bit))
        assert not cache.fetch("k", DRINKS).is_hit, bit


def test_an_entry_that_is_cut_off_is_a_miss(cache, redis_client):
    name = stored(cache)
    entry = redis_client.get(name)
    for length in range(len(entry)):
        redis_client.set(name, entry[:length])
        assert not cache.fetch("k", DRINKS).is_hit, length


def test_an_entry_that_was_copied_under_another_key_is_a_miss(cache, redis_client):
    mine, yours = stored(cache, "mine"), stored(cache, "yours")
    redis_client.copy(mine, yours, replace=True)
    assert not cache.fetch("yours", DRINKS).is_hit


def test_an_entry_of_another_prefix_is_a_miss(cache, redis_client):
    other = Cache(redis_client, signing_key=KEY, prefix="other:")
    cache.set("k", "of one tenant")
    (name,) = redis_client.keys()
    other.set("k", "of another")
    redis_client.copy(name, name.replace(b"cacheops:", b"other:"), replace=True)
    assert other.get("k", None) is None


def test_an_older_answer_under_the_stamps_of_today_is_a_miss(cache, redis_client):
    name = stored(cache, value="old")
    old = redis_client.get(name)
    cache.invalidate("product", {"category": 7})
    length = cache.fetch("k", DRINKS).stamps.head_length
    stored(cache, value="new")
    redis_client.set(name, redis_client.get(name)[:length] + old[length:])
    assert not cache.fetch("k", DRINKS).is_hit


def test_an_entry_of_an_older_version_of_the_key_is_a_miss(cache, redis_client):
    stored(cache)
    assert Cache(redis_client, signing_key=[NEXT, KEY]).fetch("k", DRINKS).is_hit
    assert not Cache(redis_client, signing_key=NEXT).fetch("k", DRINKS).is_hit


def test_entries_from_before_there_was_a_key_are_misses(cache, redis_client):
    unsigned = Cache(redis_client)
    unsigned.set_many({"number": 5, "text": "five"})
    stored(unsigned)
    assert cache.get_many(["number", "text"]) == {}
    assert not cache.fetch("k", DRINKS).is_hit


def test_signed_entries_are_misses_for_who_has_no_key(cache, redis_client):
    cache.set_many({"number": 5, "text": "five"})
    stored(cache)
    unsigned = Cache(redis_client)
    assert unsigned.get_many(["number", "text"]) == {}
    assert not unsigned.fetch("k", DRINKS).is_hit


@quick
@given(entry=st.binary() | st.binary().map(lambda rest: FORMAT + rest) | st.integers().map(b"%d".__mod__))
def test_whatever_stands_under_a_key_is_a_miss_and_no_error(cache, redis_client, entry):
    name = cache.key_of("k", {})
    redis_client.set(name, entry)
    with pytest.raises(CacheMiss):
        cache.get("k")
    assert not cache.fetch("k", {}).is_hit


def test_a_miss_for_its_signature_is_told(cache, redis_client, caplog):
    redis_client.set(cache.key_of("k", {}), FORMAT + b"forged")
    with caplog.at_level(logging.WARNING, "cacheops"):
        cache.get("k", None)
    assert "6 stored bytes are not signed" in caplog.text


def test_old_answers_are_those_of_their_own_entry(cache, redis_client):
    mine, yours = stored(cache, "mine"), stored(cache, "yours")
    lookup = cache.fetch("mine", DRINKS)
    redis_client.copy(mine, f"{mine}:old")
    assert cache.driver.run(cache._reading_old(lookup)) == ("rows",)
    redis_client.copy(yours, f"{mine}:old", replace=True)
    assert cache.driver.run(cache._reading_old(lookup)) is MISS


# Numbers


def test_a_number_that_was_forged_is_none(cache, redis_client):
    cache.set("k", 5)
    redis_client.set(cache.key_of("k", {}), b"5000")
    assert cache.get("k", None) is None
    assert cache.incr("k", 2) == 2
    assert cache.get("k") == 2


def test_counting_keeps_the_time_of_a_number(cache, redis_client):
    cache.incr("k", 1, timeout=100)
    cache.incr("k", 1, timeout=5000)
    assert 90 < redis_client.ttl(cache.key_of("k", {})) <= 100
    cache.incr("for ever", timeout=None)
    assert redis_client.ttl(cache.key_of("for ever", {})) == -1


def test_only_numbers_are_counted(cache):
    cache.set_many({"text": "5", "nothing": None, "large": 2**63 - 1})
    for key in ("text", "nothing", "large"):
        with pytest.raises(ConfigurationError, match="incr needs a whole number of 64 bits"):
            cache.incr(key)


def test_no_count_is_lost(redis_server, cache):
    def count():
        own = Cache(redis_server.url, signing_key=KEY)
        for _ in range(25):
            own.incr("k")
        own.close()

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.get("k") == 100


def test_who_was_not_the_first_to_add_adds_again(cache):
    name = cache.key_of("k", {})
    five, nine = (simple.encode(cache.serializer, name, number) for number in (5, 9))
    flow = cache.incrementing("k", 1)
    assert next(flow) == Command("MGET", (name,))
    assert flow.send([five]).args[0] == five
    flow.send(0)
    assert flow.send([nine]).args[0] == nine
    with pytest.raises(StopIteration) as stop:
        flow.send(1)
    assert stop.value.value == 10


def test_a_sum_takes_the_place_of_what_was_read_and_of_nothing_else(cache, redis_client):
    name = cache.key_of("k", {})
    assert not cache.driver.run(simple.swap(name, b"never there", b"new", 0))
    assert cache.driver.run(simple.swap(name, None, b"new", 0))
    assert not cache.driver.run(simple.swap(name, None, b"newer", 0))
    assert redis_client.get(name) == b"new"


def test_counting_begins_anew_where_something_else_stands(cache, redis_client):
    redis_client.rpush(cache.key_of("k", {}), "a list")
    assert [cache.incr("k"), cache.incr("k")] == [1, 2]
