"""Conditions: values as tokens, conjunctions as keys, dependencies in one order."""

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacheops_core.conditions import (
    ANY_ROW,
    LONG_TEXT,
    Dependencies,
    conjunction,
    conjunction_text,
    quoted,
    row,
    scheme,
    token,
)
from cacheops_core.errors import ConfigurationError


class Size(IntEnum):
    BIG = 3


class Colour(StrEnum):
    RED = "red"


class Plain(Enum):
    ONE = 1


SAME = {
    "numbers": [1, True, 1.0, Decimal("1.00"), Decimal("1E+0"), Plain.ONE],
    "zeros": [0, False, 0.0, -0.0, Decimal("-0.000")],
    "hundreds": [100, Decimal("1E+2"), 1e2],
    "instants": [
        datetime(2024, 5, 1, 12, tzinfo=UTC),
        datetime(2024, 5, 1, 14, tzinfo=timezone(timedelta(hours=2))),
        datetime(2024, 5, 1, 12),  # noqa: DTZ001  # databases without time zones hold such
    ],
    "texts": ["red", Colour.RED],
    "members": [3, Size.BIG],
    "not numbers": [float("nan"), Decimal("NaN")],
}


@pytest.mark.parametrize("values", SAME.values(), ids=SAME)
def test_values_that_a_database_holds_equal_have_one_token(values):
    assert len({token(value) for value in values}) == 1


DIFFERENT = [
    None,
    "",
    "a",
    0,
    1.5,
    1,
    date(2024, 5, 1),
    time(1),
    timedelta(1),
    UUID(int=1),
    b"\x01",
    float("inf"),
]


def test_values_of_all_kinds_have_tokens_of_their_own():
    assert len({token(value) for value in DIFFERENT}) == len(DIFFERENT)


@pytest.mark.parametrize("value", [[1], {}, object(), {1}], ids=["list", "dict", "object", "set"])
def test_a_value_without_a_token_is_refused_with_the_remedy(value):
    with pytest.raises(ConfigurationError, match="pass its database value instead"):
        token(value)


def test_null_and_the_empty_text_are_two_conditions():
    assert conjunction_text(conjunction({"a": None})) == "a"
    assert conjunction_text(conjunction({"a": ""})) == "a="


def test_conditions_are_sorted_by_field():
    assert conjunction({"b": 1, "a": 2}) == (("a", "2"), ("b", "1"))


def test_a_field_without_a_name_is_refused():
    with pytest.raises(ConfigurationError, match="must have a name"):
        conjunction({"": 1})


@given(st.text())
def test_no_text_gets_out_of_its_quotes(text):
    assert not set(quoted(text)) & set("&={}#:*[]\n\\")
    assert quoted(text).isascii()


@given(
    st.dictionaries(st.text(min_size=1), st.none() | st.text()),
    st.dictionaries(st.text(min_size=1), st.text()),
)
def test_different_conjunctions_have_different_texts(one, other):
    one, other = conjunction(one), conjunction(other)
    assert (conjunction_text(one) == conjunction_text(other)) == (one == other)


def test_a_long_text_is_digested():
    text = conjunction_text(conjunction({"name": "x" * LONG_TEXT}))
    assert text.startswith("#")
    assert len(text) == 41


def test_a_text_of_just_the_limit_is_not_digested():
    text = conjunction_text(conjunction({"a": "x" * (LONG_TEXT - 2)}))
    assert len(text) == LONG_TEXT
    assert text.startswith("a=")


def test_a_scheme_names_the_fields():
    assert scheme(conjunction({"b": 1, "a&": 2})) == "a%26&b"
    assert scheme(ANY_ROW) == ""


def test_a_row_keeps_null_apart_from_unknown():
    assert row({"a": None, "b": 1}) == {"a": None, "b": "1"}


WHOLE_TABLE = ["product", {"product": []}, {"product": [{}]}, {"product": [{"category": 7}, {}]}]


@pytest.mark.parametrize("source", WHOLE_TABLE, ids=["name", "none", "any", "any among others"])
def test_a_whole_table_can_be_written_in_these_ways(source):
    assert Dependencies.coerce(source) == Dependencies.of({"product": [ANY_ROW]})


def test_dependencies_do_not_depend_on_the_order_they_were_written_in():
    one = Dependencies.coerce({"b": [{"x": 1}, {"x": 2}], "a": []})
    other = Dependencies.coerce({"a": [], "b": [{"x": 2}, {"x": 1}, {"x": 2}]})
    assert one == other
    assert hash(one) == hash(other)


def test_dependencies_are_taken_as_they_are():
    dependencies = Dependencies.coerce("product")
    assert Dependencies.coerce(dependencies) is dependencies


@pytest.mark.parametrize("source", [7, None, ["product"]])
def test_what_are_no_dependencies_is_refused(source):
    with pytest.raises(ConfigurationError, match="dependencies must be"):
        Dependencies.coerce(source)


@pytest.mark.parametrize("conjunctions", [{"category": 7}, 7])
def test_conditions_outside_of_a_list_are_refused_with_the_remedy(conjunctions):
    with pytest.raises(ConfigurationError, match="put it into a list"):
        Dependencies.coerce({"product": conjunctions})


def test_merged_dependencies_are_those_of_all():
    merged = Dependencies.coerce({"a": [{"x": 1}]}).merge(Dependencies.coerce({"a": [{"x": 2}], "b": []}))
    assert merged == Dependencies.coerce({"a": [{"x": 1}, {"x": 2}], "b": []})


def test_a_table_that_is_too_fine_counts_as_a_whole():
    fine = Dependencies.coerce({"a": [{"x": 1}], "b": [{"x": 1}]})
    assert fine.coarsen(lambda table, _: table == "a") == Dependencies.coerce({"a": [], "b": [{"x": 1}]})
