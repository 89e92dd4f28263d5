"""Options are checked where they are made."""

import re
from datetime import timedelta

import pytest

from cacheops_core.errors import ConfigurationError
from cacheops_core.options import CacheOptions, seconds

WRONG = [
    ("prefix", "shop{1}:"),
    ("prefix", b"shop:"),
    ("timeout", 0),
    ("timeout", -1),
    ("timeout", "60"),
    ("timeout", True),
    ("timeout", float("inf")),
    ("timeout", float("nan")),
    ("fence_lifetime", None),
    ("fence_lifetime", 0),
    ("max_schemes", 0),
    ("max_conjunctions", 1.5),
    ("max_fences", True),
    ("degrade", "yes"),
]


@pytest.mark.parametrize("name, value", WRONG, ids=[f"{name}={value}" for name, value in WRONG])
def test_a_wrong_option_is_refused_by_name_and_value(name, value):
    with pytest.raises(ConfigurationError, match=f"{name}.*{re.escape(repr(value))}"):
        CacheOptions(**{name: value})


def test_the_defaults_are_right():
    assert CacheOptions().timeout == 60.0


@pytest.mark.parametrize("value", [90, 90.0, timedelta(minutes=1.5)], ids=["int", "float", "timedelta"])
def test_times_can_be_written_in_these_ways(value):
    assert seconds(value, "timeout") == 90


def test_no_limit_is_none():
    assert CacheOptions(timeout=None).timeout is None
