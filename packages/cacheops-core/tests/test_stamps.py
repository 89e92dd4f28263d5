"""The names of keys, and the heads that are made of what they hold."""

import struct

import pytest

from cacheops_core.conditions import Dependencies
from cacheops_core.errors import ConfigurationError
from cacheops_core.stamps import FORMAT, StampKeys, TableKeys


def birth(at: int, drawn: bytes = b"abcd") -> bytes:
    return struct.pack(">Q", at) + drawn


TWO = StampKeys.of("p:", Dependencies.coerce({"a": [{"x": 1}, {"x": 2}], "b": []}))
RUNS = [b"runa", b"runa", b"runa", b"runb", b"runb"]
A, B = birth(1) + b"runa", birth(2) + b"runb"
FOUND = [A, A + birth(5), A + birth(3), B, B + birth(4)]


def test_all_keys_of_a_table_share_the_part_that_decides_on_the_slot():
    keys = TableKeys.of("p:", "my table{}")
    names = (keys.generation, keys.registry, keys.committing, keys.conjunctions)
    assert {name[name.index("{") : name.index("}") + 1] for name in names} == {"{my%20table%7B%7D}"}


@pytest.mark.parametrize("table", ["", None, 7])
def test_a_table_without_a_name_is_refused(table):
    # An empty hash tag is none, and the keys would be spread over slots.
    with pytest.raises(ConfigurationError, match="table's name"):
        TableKeys.of("", table)


def test_the_keys_of_stamps_follow_their_generation():
    expected = ["g:{a}", "c:{a}:x=1", "c:{a}:x=2", "g:{b}", "c:{b}:"]
    assert [key.removeprefix("p:") for key in TWO.keys] == expected


def test_a_head_is_the_format_and_what_was_found_each_generation_once():
    head = TWO.head(FOUND, RUNS)
    assert head == FORMAT + A + birth(5) + birth(3) + B + birth(4)
    assert len(head) == TWO.head_length


DAMAGED = {
    "no generation": (0, None),
    "a short generation": (0, b"x"),
    "a generation of another run": (0, birth(1) + b"runb"),
    "no stamp": (1, None),
    "a long stamp": (4, FOUND[4] + b"x"),
    "a stamp of another generation": (2, birth(9) + b"runa" + birth(3)),
    "a stamp of another table's generation": (4, A + birth(4)),
}


@pytest.mark.parametrize("place, value", DAMAGED.values(), ids=DAMAGED)
def test_there_is_no_head_unless_every_stamp_is_valid(place, value):
    assert TWO.head([*FOUND[:place], value, *FOUND[place + 1 :]], RUNS) is None


def test_nothing_is_valid_in_a_run_that_is_not_known():
    assert TWO.head(FOUND, b"") is None


def test_the_youngest_stamps_tell_the_age_of_a_head():
    assert TWO.youngest(TWO.head(FOUND, RUNS)) == {b"runa": 5, b"runb": 4}


def test_a_head_tells_the_generation_of_each_table():
    assert TWO.generations(TWO.head(FOUND, RUNS)) == [A, B]


def test_a_head_of_nothing_has_no_age():
    nothing = StampKeys.of("", Dependencies())
    assert nothing.head([], b"") == FORMAT
    assert nothing.youngest(FORMAT) == {}


def test_other_keys_have_another_digest():
    assert TWO.digest != StampKeys.of("q:", Dependencies.coerce({"a": [{"x": 1}, {"x": 2}], "b": []})).digest
