"""Compressed payloads: long ones become short, and everything comes back."""

import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cacheops_core import Cache
from cacheops_core.compression import Compressed
from cacheops_core.errors import ConfigurationError
from cacheops_core.options import CacheOptions
from cacheops_core.serializers import LoadError, dump, load, resolve
from cacheops_core.signing import Signed

ALGORITHMS = ["zstd", "lz4"]
LONG = ["the same words"] * 1000

every = pytest.mark.parametrize("algorithm", ALGORITHMS)


class Raw:
    """Bytes as they are: what payloads look like is up to the test."""

    dumps = loads = staticmethod(bytes)


@every
@settings(deadline=None, max_examples=50)
@given(
    payload=st.binary(max_size=100),
    start=st.sampled_from([b"", b"\xc1", b"\xc1z", b"\xc14", b"\xc1="]),
    times=st.integers(1, 50),
)
def test_payloads_of_any_kind_come_back(algorithm, payload, start, times):
    compressed = Compressed(Raw(), algorithm, above=20)
    whole = start + payload * times
    assert load(compressed, dump(compressed, whole)) == whole


@every
@pytest.mark.parametrize("serializer", ["pickle", "json", "msgpack"])
def test_any_serializer_can_be_compressed(algorithm, serializer):
    compressed = Compressed(serializer, algorithm)
    assert load(compressed, dump(compressed, LONG)) == LONG
    assert len(dump(compressed, LONG)) < len(dump(resolve(serializer), LONG)) / 10


@every
def test_what_is_short_or_does_not_shrink_is_stored_as_it_is(algorithm):
    compressed = Compressed(Raw(), algorithm, above=100)
    assert dump(compressed, b"x" * 99) == b"x" * 99
    noise = bytes(range(256))
    assert dump(compressed, noise) == noise


@every
def test_what_was_stored_before_still_loads(algorithm):
    assert load(Compressed("pickle", algorithm), dump(resolve("pickle"), LONG)) == LONG


def test_what_is_compressed_in_another_way_does_not_load():
    payload = dump(Compressed("pickle", "zstd"), LONG)
    with pytest.raises(LoadError, match="compressed in another way"):
        load(Compressed("pickle", "lz4"), payload)
    for serializer in ("pickle", "json", "msgpack"):
        with pytest.raises(LoadError):
            load(resolve(serializer), payload)


@every
def test_what_is_cut_off_or_longer_does_not_load(algorithm):
    compressed = Compressed("pickle", algorithm)
    payload = dump(compressed, LONG)
    for changed in [payload + b"\0", *(payload[:length] for length in range(len(payload)))]:
        with pytest.raises(LoadError):
            load(compressed, changed)


@every
@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_damaged_payloads_raise_nothing_else(algorithm, data):
    compressed = Compressed(Raw(), algorithm)
    payload = bytearray(dump(compressed, b"the same words" * 100))
    payload[data.draw(st.integers(2, len(payload) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with suppress(LoadError):
        load(compressed, bytes(payload))


@every
def test_bytes_that_claim_to_be_huge_are_refused_before_there_is_room_made(algorithm, monkeypatch):
    payload = dump(Compressed(Raw(), algorithm), bytes(5000))
    monkeypatch.setattr("cacheops_core.compression._LARGEST", 4999)
    with pytest.raises(LoadError, match="claim to become 5000"):
        load(Compressed(Raw(), algorithm), payload)
    assert dump(Compressed(Raw(), algorithm), bytes(5000)) == bytes(5000)


WRONG = {
    "an unknown algorithm": ({"compression": "gzip"}, "one of 'zstd', 'lz4', or None.*got 'gzip'"),
    "no name": ({"compression": True}, "got True"),
    "a list": ({"compression": ["zstd"]}, r"got \['zstd'\]"),
    "a fraction of a byte": ({"compression": "zstd", "compress_above": 0.5}, "compress_above.*got 0.5"),
    "no bytes": ({"compress_above": 0}, "compress_above.*got 0"),
}


@pytest.mark.parametrize("options, message", WRONG.values(), ids=WRONG)
def test_wrong_options_are_refused_by_name_and_value(options, message):
    with pytest.raises(ConfigurationError, match=message):
        CacheOptions(**options)


@every
def test_a_missing_package_is_an_error_that_names_the_extra(algorithm, monkeypatch):
    monkeypatch.setitem(sys.modules, {"zstd": "zstandard", "lz4": "lz4.frame"}[algorithm], None)
    with pytest.raises(ConfigurationError, match=rf'pip install "cacheops-core\[{algorithm}\]"'):
        Compressed("pickle", algorithm)


def test_what_is_signed_is_not_compressed_afterwards():
    with pytest.raises(ConfigurationError, match=r"Signed\(Compressed\("):
        Compressed(Signed("pickle", "a key of the project"), "zstd")
    signed = Signed(Compressed("pickle", "zstd"), "a key of the project")
    assert load(signed, dump(signed, LONG)) == LONG


@every
def test_a_cache_compresses_long_values_alone(redis_client, algorithm):
    cache = Cache(redis_client, compression=algorithm, compress_above=500)
    cache.set_many({"long": LONG, "short": "short"})
    assert cache.get_many(["long", "short"]) == {"long": LONG, "short": "short"}
    assert redis_client.strlen(cache.key_of("long", {})) < 500
    assert Cache(redis_client).get_many(["long", "short"]) == {"short": "short"}


@every
def test_caches_share_no_more_than_they_can_read(redis_client, algorithm):
    plain, compressing = Cache(redis_client), Cache(redis_client, compression=algorithm)
    plain.set("k", LONG)
    assert compressing.get("k") == LONG


@every
def test_threads_may_share_a_serializer(algorithm):
    compressed = Compressed("pickle", algorithm, above=1)
    values = [[number] * 1000 for number in range(8)]

    def work(value):
        return all(load(compressed, dump(compressed, value)) == value for _ in range(50))

    with ThreadPoolExecutor(len(values)) as threads:
        assert all(threads.map(work, values))
