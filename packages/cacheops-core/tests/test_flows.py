"""The protocol as commands: what is asked, in what order, and what is made of the replies."""

import json
import struct

import pytest

from cacheops_core import flows
from cacheops_core.conditions import Dependencies
from cacheops_core.errors import BackendError
from cacheops_core.flows import RUN, Acquired, Call, Command, Found
from cacheops_core.scripts import ACQUIRE, DROP, FENCE, FORGET, RELEASE
from cacheops_core.stamps import FORMAT, StampKeys
from cacheops_core.testing import replay


def birth(at: int) -> bytes:
    return struct.pack(">Q", at) + b"abcd"


STAMPS = StampKeys.of("p:", Dependencies.coerce({"product": [{"category": 7}]}))
RUN_1, RUN_2 = b"run1", b"run2"
GENERATION = birth(1) + RUN_1
STAMP = GENERATION + birth(2)
HEAD = FORMAT + GENERATION + birth(2)


def test_reading_is_one_command_for_the_entry_and_its_stamps():
    asked, _ = replay(flows.fetch("k", STAMPS), [(RUN_1, [None, None, None])])
    keys = ("k", "p:g:{product}", "p:c:{product}:category=7")
    assert asked == [Command("MGET", keys, tells_run=True)]


def test_an_entry_is_served_while_its_stamps_stand():
    _, found = replay(flows.fetch("k", STAMPS), [(RUN_1, [HEAD + b"rows", GENERATION, STAMP])])
    assert found == Found(b"rows", HEAD)


OUTDATED = {
    "its stamp has changed": [GENERATION, GENERATION + birth(3)],
    "its generation has changed": [birth(3) + RUN_1, birth(3) + RUN_1 + birth(3)],
    "a stamp is of another generation": [birth(3) + RUN_1, STAMP],
    "its stamp is gone": [GENERATION, None],
    "its generation is gone": [None, STAMP],
    "its stamp is garbage": [GENERATION, b"garbage"],
}


@pytest.mark.parametrize("stamps", OUTDATED.values(), ids=OUTDATED)
def test_an_entry_is_not_served_when(stamps):
    _, found = replay(flows.fetch("k", STAMPS), [(RUN_1, [HEAD + b"rows", *stamps])])
    assert found.payload is None
    assert found.outdated == HEAD + b"rows"


@pytest.mark.parametrize(
    "run", [RUN_2, b"", [RUN_1, RUN_2, RUN_2]], ids=["another", "unknown", "of its node"]
)
def test_an_entry_is_not_served_in_a_run_that_did_not_make_it(run):
    _, found = replay(flows.fetch("k", STAMPS), [(run, [HEAD + b"rows", GENERATION, STAMP])])
    assert (found.payload, found.head) == (None, None)


def test_each_table_may_be_kept_by_a_server_of_its_own():
    two = StampKeys.of("p:", Dependencies.coerce({"a": [], "b": []}))
    other = birth(1) + RUN_2
    found = [None, GENERATION, STAMP, other, other + birth(2)]
    assert replay(flows.fetch("k", two), [([b"run0", RUN_1, RUN_1, RUN_2, RUN_2], found)])[1].head
    assert not replay(flows.fetch("k", two), [([b"run0", RUN_1, RUN_1, RUN_1, RUN_1], found)])[1].head


@pytest.mark.parametrize("entry", [b"", b"\x01", b"\x01" + HEAD[1:] + b"rows", b"rows" * 20])
def test_what_is_no_entry_is_garbage(entry):
    _, found = replay(flows.fetch("k", STAMPS), [(RUN_1, [entry, GENERATION, STAMP])])
    assert found == Found(None, HEAD, is_garbage=True)


def test_a_miss_with_every_stamp_there_may_be_filled():
    _, found = replay(flows.fetch("k", STAMPS), [(RUN_1, [None, GENERATION, STAMP])])
    assert found == Found(None, HEAD)


def test_acquiring_names_the_keys_and_schemes_of_each_table():
    asked, _ = replay(flows.acquire(STAMPS, 5000, 32, b"abcd"), [[[b"fenced", [], []]]])
    keys = ("p:g:{product}", "p:s:{product}", "p:f:{product}", "p:c:{product}:category=7")
    assert asked == [(Call(ACQUIRE, keys, (5000, 32, b"abcd", RUN, "category")),)]


def test_what_is_hardly_there_is_read_and_acquired_in_one_go():
    replies = [(RUN_1, [None, GENERATION, None]), [b"ok", [GENERATION, STAMP], []]]
    asked, found = replay(flows.fetch_and_acquire("k", STAMPS, 5000, 32, b"abcd"), [replies])
    ((reading, acquiring),) = asked
    assert [reading] == replay(flows.fetch("k", STAMPS), [replies[0]])[0]
    assert [(acquiring,)] == replay(flows.acquire(STAMPS, 5000, 32, b"abcd"), [replies[1:]])[0]
    assert found == (Found(None, None), Acquired(HEAD, {}, ()))


def test_acquired_stamps_make_a_head():
    _, acquired = replay(flows.acquire(STAMPS, 0, 32, b""), [[[b"ok", [GENERATION, STAMP], []]]])
    assert acquired == Acquired(HEAD, {}, ())


def test_there_is_no_head_if_one_of_several_tables_is_fenced():
    two = StampKeys.of("p:", Dependencies.coerce({"a": [], "b": []}))
    _, acquired = replay(
        flows.acquire(two, 0, 32, b""), [[[b"ok", [GENERATION, STAMP], []], [b"fenced", [], []]]]
    )
    assert acquired == Acquired(None, {}, ())


def test_a_full_registry_is_told():
    _, acquired = replay(flows.acquire(STAMPS, 0, 2, b""), [[[b"full", [b"a", b"a&b", b""], []]]])
    assert acquired == Acquired(None, {"product": frozenset({("a",), ("a", "b"), ()})}, ())


def test_garbage_is_told_by_its_key():
    _, acquired = replay(
        flows.acquire(STAMPS, 0, 2, b""), [[[b"ok", [GENERATION, STAMP], [b"p:s:{product}", b"\xff"]]]]
    )
    assert acquired.garbage == ("p:s:{product}", "\ufffd")


def test_nothing_to_depend_on_is_acquired_without_a_command():
    asked, acquired = replay(flows.acquire(StampKeys.of("p:", Dependencies()), 0, 1, b""))
    assert asked == []
    assert acquired.head == FORMAT


@pytest.mark.parametrize("lifetime, more", [(1500, ("PX", 1500)), (0, ())], ids=["for a time", "for ever"])
def test_filling_stores_the_head_before_the_payload(lifetime, more):
    asked, _ = replay(flows.fill("k", HEAD, b"rows", lifetime), [True])
    assert asked == [Command("SET", ("k", HEAD + b"rows", *more))]


CHANGES = {"product": [{"id": "1", "category": None}, {"id": "1", "name": 'é"&'}], "order": None}


def test_fencing_and_releasing_are_one_round_trip_over_all_tables():
    (fences,), _ = replay(flows.fence("p:", "u", CHANGES, 30_000, 50), [[[], []]])
    (releases,), _ = replay(flows.release("p:", "u", CHANGES, 50), [[[], []]])
    assert [call.script for call in fences + releases] == [FENCE, FENCE, RELEASE, RELEASE]
    assert [call.keys for call in fences] == [call.keys for call in releases]
    assert fences[0].args[:4] == releases[0].args[:4]
    assert fences[0].args[4:] == (30_000,)


def test_rows_are_sent_quoted_and_a_whole_table_as_nothing():
    ((product, order),), _ = replay(flows.release("p:", "u", CHANGES, 50), [[[], []]])
    assert product.args[:3] == ("u", "p:c:{product}:", 50)
    assert json.loads(product.args[3]) == [{"id": "1", "category": None}, {"id": "1", "name": "%C3%A9%22%26"}]
    assert order.args[3] == ""


def test_the_registries_come_back():
    _, registries = replay(flows.release("p:", "u", CHANGES, 50), [[[b"a&b", b""], [b"\xff"]]])
    assert registries == {"product": frozenset({("a", "b"), ()}), "order": frozenset({("\ufffd",)})}


def test_a_unit_without_changes_sends_nothing():
    assert replay(flows.fence("p:", "u", {}, 1, 1)) == ([], {})
    assert replay(flows.release("p:", "u", {}, 1)) == ([], {})


def test_an_error_goes_through_a_flow():
    with pytest.raises(BackendError):
        replay(flows.fetch("k", STAMPS), [BackendError()])


def test_a_retired_answer_leaves_its_place_before_it_is_kept():
    asked, _ = replay(flows.retire("k", "old", b"rows", 10), [[1, True]])
    assert asked == [(Command("DEL", ("k",)), Command("SET", ("old", b"rows", "PX", 10)))]


def test_a_sweep_goes_on_to_the_end_and_drops_what_is_ours():
    found = [b"p:g:{a}", b"p:e:" + b"0" * 32, b"p:c:{a}:x=1"]
    foreign = [b"p:e:mine", b"p:g:theirs", b"p:f:{a}", b"p:c:{a}"]
    asked, _ = replay(flows.sweep("p:"), [(b"7", [*foreign, *found]), [1, 1, 1], (b"0", []), 0])
    assert [request for request in asked if isinstance(request, tuple)] == [
        tuple(Call(DROP, (k,), ()) for k in found)
    ]
    assert [request.args[0] for request in asked if isinstance(request, Command)] == [0, b"7"]
    assert asked[-1] == Call(FORGET, ("p:e:",), ("p:near",))


def test_a_sweep_takes_a_prefix_literally():
    (asked, _), _ = replay(flows.sweep("a*[b]?:"), [(b"0", []), 0])
    assert asked.args[2] == r"a\*\[b\]\?:[egcs]:*"
