"""The near cache's store: what is kept, for how long, what is dropped and what is refused."""

import threading
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import IntEnum
from time import monotonic
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from cacheops_core import near as near_module
from cacheops_core import near_writes
from cacheops_core.conditions import Dependencies
from cacheops_core.near import COPY_BYTES, MISS, MOST_KEYS, Near, cannot_change
from cacheops_core.stamps import StampKeys, TableKeys

DRINKS = {"product": [{"category": 7}]}
BOOKS = {"product": [{"category": 8}]}
SEVEN, EIGHT = "p:c:{product}:category=7", "p:c:{product}:category=8"
PRODUCT, SHOP = "p:g:{product}", "p:g:{shop}"
HEAD, NEXT_HEAD = bytes(500), bytes([1]) * 500
BORN, BORN_NEXT = "=" + "00" * 16, "=" + "01" * 16
"""How a message names the generations of these heads."""


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self):
        self.now = monotonic()

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(near_module, "monotonic", clock)
    return clock


def make(prefix="p:", size=100, most_bytes=10**6, max_age=1.0):
    near = Near(prefix, size, most_bytes, max_age)
    near.open()
    return near


@pytest.fixture
def near():
    return make()


def ticket(near, key="k", dependencies=DRINKS, name="p:e:1"):
    return near.ticket(key, name, StampKeys.of("p:", Dependencies.coerce(dependencies)))


def keep(near, key="k", value=1, dependencies=DRINKS, lifetime=60.0, size=10, name="p:e:1", head=HEAD):
    near.keep(ticket(near, key, dependencies, name), head, value, None, size, lifetime)


# Keeping


def test_a_copy_is_found_by_its_key(near):
    keep(near, ("Product", 1), None)
    assert near.get(("Product", 1)) is None
    assert near.get(("Product", 2)) is MISS


def test_a_copy_under_another_generation_takes_the_place_of_all_that_were_made_before(near):
    keep(near, "k")
    keep(near, "both", dependencies={"product": [{"category": 8}], "shop": [{"id": 1}]}, head=NEXT_HEAD)
    keep(near, "other", dependencies={"shop": []}, head=NEXT_HEAD)
    assert [near.get(key) for key in ("k", "both", "other")] == [MISS, 1, 1]


def test_what_can_change_is_loaded_anew_each_time(near):
    near.keep(ticket(near), HEAD, b"[]", lambda payload: [payload], 2, 60)
    near.get("k").append("mine")
    assert near.get("k") == [b"[]"]


def test_what_does_not_load_any_more_is_a_miss(near):
    near.keep(ticket(near), HEAD, b"", {}.__getitem__, 0, 60)
    assert near.get("k", "nothing") == "nothing"


def test_a_copy_ends_its_age_after_the_question(near, clock):
    asked = ticket(near)
    clock.now += 0.6
    near.keep(asked, HEAD, 1, None, 1, 60)
    clock.now += 0.3
    assert near.get("k") == 1
    clock.now += 0.2
    assert near.get("k") is MISS


def test_a_copy_ends_with_its_entry_if_that_is_sooner(near, clock):
    keep(near, lifetime=0.5)
    clock.now += 0.6
    assert near.get("k") is MISS


def test_an_answer_that_took_longer_than_an_age_is_not_kept(near, clock):
    asked = ticket(near)
    clock.now += 2
    near.keep(asked, HEAD, 1, None, 1, 60)
    assert len(near) == 0


def test_a_new_copy_takes_the_place_of_the_old_one(near):
    keep(near, value=1, dependencies=DRINKS)
    keep(near, value=2, dependencies=BOOKS)
    near.drop_stamps(PRODUCT, [SEVEN])
    assert near.get("k") == 2
    near.drop_stamps(PRODUCT, [EIGHT])
    assert near.get("k") is MISS


# Making room


def test_the_oldest_copies_make_room():
    near = make(size=3)
    for key in range(5):
        keep(near, key)
    assert [near.get(key, None) is not None for key in range(5)] == [False, False, True, True, True]


def test_a_copy_that_was_used_gets_a_second_chance():
    near = make(size=3)
    for key in range(3):
        keep(near, key)
    near.get(0)
    keep(near, 3)
    assert [near.get(key, None) is not None for key in range(4)] == [True, False, True, True]


def test_a_copy_that_has_ended_gets_none(clock):
    near = make(size=2)
    keep(near, 0)
    near.get(0)
    clock.now += 2
    keep(near, 1)
    keep(near, 2)
    assert [near.get(key, None) is not None for key in range(3)] == [False, True, True]


def test_bytes_are_bounded_too():
    near = make(most_bytes=20 * (COPY_BYTES + 1000))
    for key in range(50):
        keep(near, key, size=1000)
    assert len(near) == 20


def test_one_copy_does_not_take_all_the_room():
    near = make(most_bytes=100_000)
    keep(near, size=90_000)
    assert len(near) == 0


def test_nothing_is_left_behind_of_what_is_gone():
    near = make(size=10)
    for key in range(100):
        keep(near, key, dependencies={"product": [{"id": key}], "shop": [{"id": key}]}, name=f"p:e:{key}")
    near.drop_stamps(PRODUCT, None)
    assert (len(near), near._index, near._bytes) == (0, {}, 0)


# Dropping

HELD = {
    "drinks": DRINKS,
    "books": BOOKS,
    "all": {"product": []},
    "kettles": {"product": [{"category": 7, "name": "a&b=c"}]},
    "shops": {"shop": []},
    "both": {"product": [{"category": 8}], "shop": [{"id": 1}]},
}

DROPPED = {
    "a conjunction": (lambda near: near.drop_stamps(PRODUCT, [SEVEN]), {"drinks"}),
    "two": (lambda near: near.drop_stamps(PRODUCT, [SEVEN, EIGHT]), {"drinks", "books", "both"}),
    "a table": (lambda near: near.drop_stamps(PRODUCT, None), {"drinks", "books", "all", "kettles", "both"}),
    "the other table": (lambda near: near.drop_stamps(SHOP, None), {"shops", "both"}),
    "a message": (
        lambda near: near.hear(f"{PRODUCT}\n{BORN}\n{SEVEN}\n{EIGHT}".encode()),
        {"drinks", "books", "both"},
    ),
    "a message of any row": (
        lambda near: near.hear(f"{PRODUCT}\n{BORN}\np:c:{{product}}:".encode()),
        {"all"},
    ),
    "a message of no row": (lambda near: near.hear(f"{PRODUCT}\n{BORN}".encode()), set()),
    "a message of another generation": (
        lambda near: near.hear(f"{PRODUCT}\n{BORN_NEXT}\n{SEVEN}".encode()),
        {"drinks", "books", "all", "kettles", "both"},
    ),
    "a message of no generation": (
        lambda near: near.hear(f"{PRODUCT}\n{SEVEN}".encode()),
        {"drinks", "books", "all", "kettles", "both"},
    ),
    "a message of a table": (lambda near: near.hear(SHOP.encode()), {"shops", "both"}),
    "a message of an unknown table": (lambda near: near.hear(b"p:g:{nothing}"), set()),
    "a message of an entry": (lambda near: near.hear(b"p:e:books"), {"books"}),
    "a message of everything": (lambda near: near.hear(b"p:e:"), set(HELD)),
    "a message of others": (lambda near: near.hear(b"\xff\xfe"), set(HELD)),
    "an empty message": (lambda near: near.hear(b""), set(HELD)),
    "an entry": (lambda near: near.drop_entry("p:e:shops"), {"shops"}),
    "a row": (
        lambda near: near.drop_rows(
            TableKeys.of("p:", "product"), [{"category": "7", "name": "x", "id": "1"}]
        ),
        {"drinks", "all"},
    ),
    "rows": (
        lambda near: near.drop_rows(
            TableKeys.of("p:", "product"),
            [{"category": "7", "name": "a&b=c"}, {"category": "8", "name": None}],
        ),
        {"drinks", "books", "all", "kettles", "both"},
    ),
    "a row that lacks a field": (
        lambda near: near.drop_rows(TableKeys.of("p:", "shop"), [{"name": "1"}]),
        {"shops", "both"},
    ),
    "a row of an unknown table": (lambda near: near.drop_rows(TableKeys.of("p:", "x"), [{"id": "1"}]), set()),
    "everything": (lambda near: near.clear(), set(HELD)),
}


@pytest.mark.parametrize("aliases", [False, True], ids=["by entry", "by own key"])
@pytest.mark.parametrize("how, gone", DROPPED.values(), ids=DROPPED)
def test_what_depends_on_it_goes_with(near, how, gone, aliases):
    for key, dependencies in HELD.items():
        keep(near, (key,) if aliases else f"p:e:{key}", key, dependencies, name=f"p:e:{key}")
    how(near)
    assert {key for key in HELD if near.get((key,) if aliases else f"p:e:{key}") is MISS} == gone


def test_many_rows_drop_the_whole_table(near):
    keep(near, "k", dependencies={"product": [{"id": -1}]})
    near.drop_rows(TableKeys.of("p:", "product"), [{"id": str(n)} for n in range(MOST_KEYS + 1)])
    assert near.get("k") is MISS


# Refusing

SINCE = {
    "its stamp has gone": lambda near: near.hear(f"{PRODUCT}\n{BORN}\n{SEVEN}".encode()),
    "another stamp of its table has gone": lambda near: near.drop_stamps(PRODUCT, [EIGHT]),
    "its table has been written here": lambda near: near.drop_rows(TableKeys.of("p:", "product"), None),
    "its entry has been dropped": lambda near: near.hear(b"p:e:1"),
    "everything has been dropped": Near.clear,
    "the connection was lost": Near.close,
    "the connection was lost and is back": lambda near: (near.close(), near.open()),
    "the server has confirmed the channel again": Near.open,
    "the process has forked": lambda near: (near.reset(), near.open()),
}


@pytest.mark.parametrize("happens", SINCE.values(), ids=SINCE)
def test_an_answer_is_not_kept_if_since_the_question(near, happens):
    asked = ticket(near)
    happens(near)
    near.keep(asked, HEAD, 1, None, 1, 60)
    assert near.get("k") is MISS


def test_an_answer_is_kept_though_another_table_has_changed(near):
    asked = ticket(near)
    near.hear(b"p:g:{shop}")
    near.keep(asked, HEAD, 1, None, 1, 60)
    assert near.get("k") == 1


def test_while_nobody_tells_nothing_may_be_kept(near):
    asked = []
    near.close()
    near.subscribe = asked.append
    assert ticket(near) is None
    assert asked == [near]


def test_what_is_kept_while_the_stamps_of_a_write_are_named_goes_with_it(near):
    """A copy with a scheme of its own comes between the question which stamps a row has, and their end."""
    asked = ticket(near, "late", {"product": [{"id": 1}]})
    keep(near)

    class Row(dict):
        def keys(self):
            keeper = threading.Thread(target=near.keep, args=(asked, HEAD, 1, None, 1, 60))
            keeper.start()
            keeper.join(0.05)  # it waits for us
            threads.append(keeper)
            return super().keys()

    threads = []
    near.drop_rows(TableKeys.of("p:", "product"), [Row(category="7", id="1")])
    for thread in threads:
        thread.join()
    assert near.get("late") is MISS


def test_a_process_with_too_many_tables_begins_anew(near, monkeypatch):
    monkeypatch.setattr(near_module, "MOST_TABLES", 3)
    for table in "abcdef":
        keep(near, table, dependencies=table)
    assert near.get("a") is MISS
    assert len(near._epochs) <= 7


# All of a process


def test_a_write_concerns_all_near_caches_of_its_prefix():
    nears = [make(), make(), make("q:")]
    for one in nears:
        keep(one)
    near_writes.drop_changes("p:", {"product": [{"category": "7"}]})
    assert [one.get("k") is MISS for one in nears] == [True, True, False]


def test_near_caches_that_are_gone_are_forgotten():
    for _ in range(10):
        make("gone:")
    assert len(near_writes._of_prefix["gone:"]) <= 2


# What is handed out as it is


class Odd(IntEnum):
    ONE = 1


class Zone(tzinfo):
    pass


class Text(str):
    __slots__ = ()


CONSTANTS = [
    None, True, 1, 1.5, 2j, "text", b"bytes", Decimal("1.5"), date(2024, 1, 2), time(1, 2), timedelta(1),
    datetime.fromisoformat("2024-01-02"), datetime(2024, 1, 2, tzinfo=UTC),
    time(1, tzinfo=timezone(timedelta(hours=1))), datetime(2024, 1, 2, tzinfo=ZoneInfo("UTC")),
    UUID(int=1), (), (1, ("a", None)), frozenset({1}),
]  # fmt: skip
CHANGEABLE = [
    [],
    {},
    set(),
    bytearray(),
    (1, []),
    Odd.ONE,
    Text("x"),
    datetime(2024, 1, 2, tzinfo=Zone()),
    object(),
]


@pytest.mark.parametrize("value", CONSTANTS, ids=repr)
def test_nobody_can_change(value):
    assert cannot_change(value)


@pytest.mark.parametrize("value", CHANGEABLE, ids=lambda value: type(value).__name__)
def test_somebody_may_change(value):
    assert not cannot_change(value)
