"""Profiles: the forms that people may write, and an error for each that they may not."""

import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from cacheops_core.errors import ConfigurationError
from cacheops_core.profiles import OPS, PROFILE_KEYS, Profile, parse_ops, parse_option, parse_timeout


@pytest.mark.parametrize(
    "written, meant",
    [
        pytest.param("all", set(OPS), id="all"),
        pytest.param("get", {"get"}, id="one"),
        pytest.param("get fetch", {"get", "fetch"}, id="words"),
        pytest.param("get, fetch", {"get", "fetch"}, id="words with commas"),
        pytest.param("", set(), id="an empty string"),
        pytest.param((), set(), id="an empty tuple"),
        pytest.param(["get", "count"], {"get", "count"}, id="a list"),
        pytest.param({"exists", "aggregate"}, {"exists", "aggregate"}, id="a set"),
        pytest.param(("get", "all"), set(OPS), id="all among others"),
    ],
)
def test_ops_are_read_from_what_people_write(written: Any, meant: set[str]) -> None:
    assert parse_ops(written) == meant


@pytest.mark.parametrize("written", [None, 1, True, b"get", {"get": True}], ids=repr)
def test_ops_of_another_type_are_refused(written: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^ops must be a string or a collection of strings"):
        parse_ops(written)


def test_an_unknown_operation_is_told_its_nearest() -> None:
    with pytest.raises(ConfigurationError, match=r"^ops has .* 'fecth': did you mean 'fetch'\? Known "):
        parse_ops("get fecth")


@pytest.mark.parametrize("op", ["bananas", 7, None, ["get"]], ids=repr)
def test_an_operation_near_to_none_is_told_them_all(op: Any) -> None:
    with pytest.raises(ConfigurationError, match="Known are get, fetch, count, exists, aggregate"):
        parse_ops([op])


@pytest.mark.parametrize(
    "written, seconds",
    [
        pytest.param(60, 60.0, id="int"),
        pytest.param(0.5, 0.5, id="float"),
        pytest.param(timedelta(minutes=15), 900.0, id="timedelta"),
        pytest.param(None, None, id="None"),
    ],
)
def test_a_timeout_is_read_as_seconds(written: Any, seconds: float | None) -> None:
    assert parse_timeout(written) == seconds


@pytest.mark.parametrize(
    "written",
    [
        True,
        False,
        "60",
        0,
        0.0001,
        -1,
        timedelta(0),
        timedelta(days=-1),
        float("nan"),
        float("inf"),
        1e300,
        [60],
    ],
    ids=repr,
)
def test_what_cannot_be_a_timeout_is_refused(written: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^timeout must be "):
        parse_timeout(written)


def test_a_profile_without_anything_but_a_timeout_caches_nothing_by_itself() -> None:
    profile = Profile(name="posts", timeout=60)
    assert profile.ops == frozenset()
    assert profile == Profile(
        name="posts",
        timeout=60,
        lock=False,
        cache_on_save=False,
        local_get=False,
        db_agnostic=False,
        near=False,
        stale=0.0,
        invalidate_on_update=None,
    )


def test_a_profile_brings_its_values_to_one_type() -> None:
    options = {"ops": "get", "timeout": timedelta(hours=1), "stale": timedelta(seconds=3)}
    profile = Profile.parse("posts", options)
    assert (profile.ops, profile.timeout, profile.stale) == (frozenset({"get"}), 3600.0, 3.0)
    assert profile == Profile(name="posts", **options)  # type: ignore[arg-type]


def test_a_profile_without_a_timeout_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r'^CACHEOPS\["a\.b"\] has no "timeout": add one'):
        Profile.parse('CACHEOPS["a.b"]', {"ops": "all"})


def test_an_unknown_key_is_told_its_nearest() -> None:
    with pytest.raises(ConfigurationError, match=r"unknown key 'time_out': did you mean 'timeout'\?"):
        Profile.parse("posts", {"timeout": 1, "time_out": 60})


WRONG: dict[str, Any] = {
    "ops": "gets",
    "timeout": -1,
    "lock": 1,
    "cache_on_save": "not a field",
    "local_get": "yes",
    "db_agnostic": None,
    "near": 0,
    "stale": -1,
    "invalidate_on_update": "row",
}


@pytest.mark.parametrize("key", PROFILE_KEYS)
def test_a_wrong_value_is_refused_and_named_by_its_place(key: str) -> None:
    wrong: dict[str, Any] = {"name": "posts", "timeout": 60, key: WRONG[key]}
    with pytest.raises(ConfigurationError, match=rf'^CACHEOPS\["\*\.\*"\]\["{key}"\] .*{WRONG[key]!r}'):
        Profile.parse('CACHEOPS["*.*"]', {"timeout": 60, key: WRONG[key]})
    with pytest.raises(ConfigurationError, match=rf"^{key} "):
        Profile(**wrong)


RIGHT: dict[str, Any] = {
    "ops": frozenset({"count"}),
    "timeout": 5.0,
    "lock": True,
    "cache_on_save": "slug",
    "local_get": True,
    "db_agnostic": True,
    "near": True,
    "stale": 2.0,
    "invalidate_on_update": "rows",
}


@pytest.mark.parametrize("key", PROFILE_KEYS)
def test_every_key_reaches_the_profile(key: str) -> None:
    assert getattr(Profile.parse("posts", {"timeout": 60, key: RIGHT[key]}), key) == RIGHT[key]
    assert parse_option(key, RIGHT[key], "posts") == RIGHT[key]


def test_every_field_but_the_name_is_a_key() -> None:
    assert {field.name for field in dataclasses.fields(Profile)} - {"name"} == set(PROFILE_KEYS)


def test_a_profile_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Profile(name="posts", timeout=60).timeout = 1  # type: ignore[misc]


def test_a_name_that_is_no_string_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="name must be a string, not 3"):
        Profile(name=3, timeout=60)  # type: ignore[arg-type]
