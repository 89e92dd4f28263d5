"""Whatever names, values and stored bytes there are: keys stay keys, and what was not stored by us is a miss."""

import json
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cacheops_core import scripts
from cacheops_core.cache import Cache
from cacheops_core.errors import ConfigurationError
from cacheops_core.flows import Call
from cacheops_core.scripts import Script
from cacheops_core.stamps import FORMAT

quick = settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])

TEXTS = st.text(max_size=30) | st.sampled_from(
    ["{", "}", "a}{b", "*", "a:b", "e:", "\n", "\r\n$3\r\n", "'..os.exit()..'", "\ud800"]
)
NAMES = TEXTS.filter(bool)
PREFIXES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="{}"), max_size=10)
VALUES = TEXTS | st.integers() | st.none() | st.binary(max_size=20) | st.decimals(allow_nan=False, places=2)
CHANGES = st.tuples(NAMES, st.dictionaries(NAMES, VALUES, min_size=1, max_size=3))

QUOTED = rb"[\w.~%-]+"
OURS = re.compile(
    rb"e:[0-9a-f]{32}(:old)?|[gsf]:\{%b\}|c:\{%b\}:(#[0-9a-f]{40}|[\w.~%%=&-]*)|l:\{[0-9a-f]+\}|w:\{[0-9a-f]+\}:[0-9a-f]+"
    % (QUOTED, QUOTED)
)
KNOWN = {script for script in vars(scripts).values() if isinstance(script, Script)}


# Names


@quick
@given(prefix=PREFIXES, mine=CHANGES, others=CHANGES, key=TEXTS)
def test_names_and_values_reach_no_key_but_their_own(redis_client, prefix, mine, others, key):
    redis_client.flushall()
    cache, asked = Cache(redis_client, prefix=prefix), []
    execute = cache.driver.execute
    cache.driver.execute = lambda request: asked.append(request) or execute(request)
    for table, row in (mine, others):
        cache.get_or_compute(key, {table: [row]}, lambda: 1, stale=5)
        assert cache.fetch(key, {table: [row]}).is_hit
    with cache.lock(key), cache.writing(mine):
        assert all(OURS.fullmatch(name, len(prefix.encode())) for name in redis_client.scan_iter())
    assert not cache.fetch(key, {mine[0]: [mine[1]]}).is_hit
    if mine[0] != others[0]:
        assert cache.fetch(key, {others[0]: [others[1]]}).is_hit
    calls = [one for request in asked for one in (request if isinstance(request, tuple) else (request,))]
    assert {call.script for call in calls if isinstance(call, Call)} <= KNOWN


@quick
@given(prefix=PREFIXES, other=PREFIXES)
def test_everything_below_a_prefix_is_nothing_below_another(redis_client, prefix, other):
    if prefix == other:
        return
    redis_client.flushall()
    ours, theirs = Cache(redis_client, prefix=prefix), Cache(redis_client, prefix=other)
    for cache in (ours, theirs):
        cache.set("k", 1)
        cache.get_or_compute("k", "t", lambda: 1)
    ours.invalidate_all()
    assert theirs.get("k") == 1
    assert theirs.fetch("k", "t").is_hit
    assert ours.get("k", None) is None


def test_a_prefix_that_is_no_text_is_refused(redis_client):
    with pytest.raises(ConfigurationError, match="UTF-8"):
        Cache(redis_client, prefix="\ud800")


# Stored bytes


SERIALIZERS = {
    "json": {"serializer": "json"},
    "msgpack": {"serializer": "msgpack"},
    "zstd": {"serializer": "json", "compression": "zstd", "compress_above": 1},
    "lz4": {"serializer": "json", "compression": "lz4", "compress_above": 1},
    "signed": {"signing_key": "a key of the project"},
}
BYTES = st.one_of(
    st.binary(max_size=60),
    st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5).map(
        lambda v: json.dumps(v).encode()
    ),
    st.binary(max_size=30).map(lambda rest: b"\xc1z\x28\xb5\x2f\xfd" + rest),
    st.binary(max_size=30).map(lambda rest: b"\xc14\x04\x22\x4d\x18" + rest),
    st.binary(max_size=30).map(lambda rest: b"\xc1s" + rest),
    st.sampled_from(
        [b"[" * 100_000, b"9" * 5000, b"\x91" * 100_000, b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff"]
    ),
)


@pytest.mark.parametrize("options", SERIALIZERS.values(), ids=SERIALIZERS)
@quick
@given(payload=BYTES, cut=st.integers(0, 40), flip=st.integers(0, 2**12))
def test_whatever_stands_under_an_entry_is_a_value_or_a_miss(redis_client, options, payload, cut, flip):
    redis_client.flushall()
    cache = Cache(redis_client, **options)
    cache.set("simple", [1, "two"])
    lookup = cache.fetch("k", {"t": [{"a": 1}]})
    cache.fill(lookup, [1, "two"])
    for name in (lookup.key, cache.key_of("simple", {})):
        entry = redis_client.get(name)
        changed = bytearray(entry)
        changed[flip // 8 % len(entry)] ^= 1 << flip % 8
        head = lookup.head if name == lookup.key else FORMAT
        for stored in (
            payload,
            head + payload,
            FORMAT + payload,
            entry[:cut],
            bytes(changed),
            entry + payload,
        ):
            redis_client.set(name, stored)
            cache.fetch("k", {"t": [{"a": 1}]})
            cache.get("simple", None)
            assert cache.get_or_compute("j", {"t": [{"a": 1}]}, lambda: 5) == 5


KEYS = ["g:{t}", "s:{t}", "f:{t}", "c:{t}:a=1", "c:{t}:"]
KINDS = ["string", "list", "set", "zset", "hash"]
# A set in the place of a registry is one. Who can write that can also remove a fence: no cache could tell.
PLACES = st.tuples(st.sampled_from(KEYS), st.sampled_from(KINDS)).filter(
    lambda place: place != ("s:{t}", "set")
)


@settings(quick, max_examples=80)
@given(place=PLACES, parts=st.lists(st.binary(max_size=40), min_size=1, max_size=3))
def test_whatever_stands_under_a_key_of_ours_makes_nothing_stale(redis_client, place, parts):
    key, kind = place
    redis_client.flushall()
    cache, rows = Cache(redis_client, prefix=""), [1]
    ask = lambda: cache.get_or_compute("k", {"t": [{"a": 1}]}, lambda: rows[0])  # noqa: E731
    ask()
    redis_client.delete(key)
    put = {
        "string": lambda: redis_client.set(key, parts[0]),
        "list": lambda: redis_client.rpush(key, *parts),
        "set": lambda: redis_client.sadd(key, *parts),
        "zset": lambda: redis_client.zadd(key, dict.fromkeys(parts, 1)),
        "hash": lambda: redis_client.hset(key, mapping=dict.fromkeys(parts, 1)),
    }
    put[kind]()
    assert ask() == 1
    with cache.writing(("t", {"a": 1})):
        rows[0] = 2
    assert [ask(), ask()] == [2, 2]
