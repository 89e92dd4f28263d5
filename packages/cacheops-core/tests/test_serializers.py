"""Serializers: what comes back, how they are named, and what their mistakes look like."""

import datetime as dt
import pickle
import sys
import threading
from types import SimpleNamespace

import pytest

from cacheops_core import serializers
from cacheops_core.errors import ConfigurationError
from cacheops_core.serializers import DumpError, LoadError, dump, load, resolve

PLAIN = [None, True, -1, 2**53, 1.5, "", "ü\ud800", [1, [2]], {"a": {"b": None}}]
NOON = dt.datetime(2024, 6, 1, 12, tzinfo=dt.UTC)

COME_BACK = {
    "pickle": [*PLAIN, (1,), {1: 2}, {1}, b"\x00", NOON, dt.date(2024, 6, 1)],
    "json": PLAIN,
    "msgpack": [*PLAIN[:6], "ü", *PLAIN[7:], {1: 2}, b"\x00", NOON],
}
COMES_BACK = [(name, value) for name, values in COME_BACK.items() for value in values]


@pytest.mark.parametrize("name, value", COMES_BACK, ids=[f"{name} {value!a}" for name, value in COMES_BACK])
def test_values_come_back_as_they_were(name, value):
    serializer = resolve(name)
    again = load(serializer, dump(serializer, value))
    assert again == value
    assert type(again) is type(value)


def test_a_value_that_comes_back_is_a_new_object():
    rows = [[1]]
    serializer = resolve("pickle")
    assert load(serializer, dump(serializer, rows))[0] is not rows[0]


@pytest.mark.parametrize("name", ["json", "msgpack"])
def test_limits_are_as_documented(name):
    serializer = resolve(name)
    assert load(serializer, dump(serializer, (1, (2,)))) == [1, [2]]
    assert load(serializer, dump(serializer, {1: 2})) == ({"1": 2} if name == "json" else {1: 2})


REFUSED = {"pickle": threading.Lock(), "json": {1, 2}, "msgpack": {1, 2}}


@pytest.mark.parametrize("name, value", REFUSED.items(), ids=REFUSED)
def test_what_cannot_be_stored_is_one_error(name, value):
    with pytest.raises(DumpError, match=r"does not serialize with \w+Serializer \(.*another serializer"):
        dump(resolve(name), value)


@pytest.mark.parametrize("name", COME_BACK)
@pytest.mark.parametrize("payload", [b"", b"\xc1", b"\x80\x05cmissing.module\nClass\n.", b'{"a":'])
def test_what_does_not_load_is_one_error(name, payload):
    with pytest.raises(LoadError, match="stored bytes do not load"):
        load(resolve(name), payload)


def test_pickle_uses_the_highest_protocol():
    assert resolve("pickle").dumps(1)[:2] == bytes([0x80, pickle.HIGHEST_PROTOCOL])


class Upper:
    def dumps(self, value):
        return value.upper().encode()

    def loads(self, payload):
        return payload.decode()


upper = Upper()


def test_serializers_are_found_by_path_class_or_as_they_are():
    assert isinstance(resolve("cacheops_core.serializers.JsonSerializer"), serializers.JsonSerializer)
    assert isinstance(resolve(Upper), Upper)
    assert resolve(upper) is upper
    assert resolve("marshal").dumps(1)
    assert resolve("plistlib").loads


WRONG = {
    "an unknown name": ("yaml_of_nobody", r"'yaml_of_nobody' cannot be imported .*\"pickle\", \"json\""),
    "an unknown module": ("nowhere.Serializer", "'nowhere.Serializer' cannot be imported"),
    "an unknown attribute": ("pickle.Serializer", "'pickle.Serializer' cannot be imported"),
    "no serializer": ("os.path", r"'os.path' lacks dumps\(value\)"),
    "half a serializer": (SimpleNamespace(dumps=str), r"lacks dumps\(value\) -> bytes or loads"),
    "nothing": (None, "serializer=None lacks"),
}


@pytest.mark.parametrize("serializer, message", WRONG.values(), ids=WRONG)
def test_wrong_serializers_are_refused_with_what_would_do(serializer, message):
    with pytest.raises(ConfigurationError, match=message):
        resolve(serializer)


def test_msgpack_is_asked_for_only_by_name(monkeypatch):
    monkeypatch.setitem(sys.modules, "msgpack", None)
    assert resolve("pickle")
    with pytest.raises(ConfigurationError, match=r"pip install \"cacheops-core\[msgpack\]\""):
        resolve("msgpack")
