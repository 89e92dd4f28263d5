"""Serializers: what comes back, how they are named, and what their mistakes look like."""

import datetime as dt
import enum
import pickle
import sys
import threading
from collections import OrderedDict, namedtuple
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacheops_core import serializers
from cacheops_core.errors import ConfigurationError
from cacheops_core.serializers import DumpError, LoadError, dump, load, resolve

NOON = dt.datetime(2024, 6, 1, 12, 0, 0, 1, tzinfo=dt.UTC)
NESTED = [(), (1, (2, [3])), [()], {"a": (1,)}, {1: 2, None: 3, (1, 2): 4}, {}]
MARKED = [
    {"()": [1]},
    {"{}": [[1, 2]]},
    {"()": {"()": (1,)}},
    {"()": 1, "{}": 2},
    {"{}": (), "a": 1},
    ({"()": ()},),
]
PLAIN = [None, True, -1, 2**53, 1.5, "", "ü", [1, [2]], {"a": {"b": None}}, *NESTED, *MARKED]

COME_BACK = {
    "pickle": [*PLAIN, {1}, b"\x00", NOON, dt.date(2024, 6, 1)],
    "json": [*PLAIN, "\ud800", 2**100, float("inf")],
    "msgpack": [*PLAIN, b"\x00", [NOON], {b"a": NOON}, dt.datetime(1900, 1, 1, tzinfo=dt.UTC)],
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


class Colour(enum.StrEnum):
    RED = "red"


class Size(enum.IntEnum):
    SMALL = 1


Point = namedtuple("Point", "x y")

CHANGED = [
    Colour.RED, Size.SMALL, Point(1, 2), OrderedDict(a=1), {Colour.RED: 1}, [(Size.SMALL,)], {1}, bytearray(b"a"),
    memoryview(b"a"), dt.date(2024, 6, 1), NOON.replace(tzinfo=None), NOON.astimezone(ZoneInfo("Europe/Berlin")),
    NOON.replace(fold=1), Decimal(1),
]  # fmt: skip


@pytest.mark.parametrize("name", ["json", "msgpack"])
@pytest.mark.parametrize("value", CHANGED, ids=map(repr, CHANGED))
def test_what_would_come_back_as_something_else_is_refused(name, value):
    with pytest.raises(DumpError, match="would not come back as it is"):
        dump(resolve(name), value)


SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(["()", "{}"])
VALUES = st.recursive(
    SCALARS | TEXTS,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(SCALARS | TEXTS | st.tuples(SCALARS), inner, max_size=3)
    ),
)


@pytest.mark.parametrize("name", ["json", "msgpack"])
@given(value=VALUES)
def test_any_plain_value_comes_back_as_it_was(name, value):
    serializer = resolve(name)
    # A repr tells types and signs of zero apart, which == does not.
    assert repr(load(serializer, dump(serializer, value))) == repr(value)


def test_lists_and_texts_are_written_as_others_write_them():
    assert (
        dump(resolve("json"), [{"name": "a", "sizes": [1, 2.5, None]}])
        == b'[{"name":"a","sizes":[1,2.5,null]}]'
    )


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


def test_views_of_bytes_are_pickled_as_views_of_a_copy():
    serializer, changed = resolve("pickle"), bytearray(b"b")
    views = {"a": memoryview(b"a"), "b": [memoryview(changed)]}
    payload = dump(serializer, views)
    changed[0] = 0
    again = load(serializer, payload)
    assert again == {"a": memoryview(b"a"), "b": [memoryview(b"b")]}
    assert [again["a"].readonly, again["b"][0].readonly] == [True, False]


@pytest.mark.parametrize("view", [memoryview(b"abcd").cast("H"), memoryview(b"abcd").cast("B", (2, 2))])
def test_other_views_are_refused(view):
    with pytest.raises(DumpError, match=r"cannot pickle .?memoryview"):
        dump(resolve("pickle"), [view])


class Cash(Decimal):
    pass


class Part(Fraction):
    pass


class Price(Decimal):
    def __reduce__(self):
        return Price, (str(self),), vars(self)


class Names(OrderedDict):
    pass


@pytest.mark.parametrize("value", [Cash(1), Part(1, 2)])
def test_what_pickling_forgets_the_attributes_of_is_refused_if_it_has_any(value):
    assert load(resolve("pickle"), dump(resolve("pickle"), value)) == value
    value.currency = "USD"
    with pytest.raises(DumpError, match="pickling forgets currency, for want of a __reduce__ of its class"):
        dump(resolve("pickle"), [value])


@pytest.mark.parametrize("value", [Price(1), Names(), ValueError()])
def test_attributes_come_back_that_pickling_knows_of(value):
    value.currency = "USD"
    assert load(resolve("pickle"), dump(resolve("pickle"), [value]))[0].currency == "USD"


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
