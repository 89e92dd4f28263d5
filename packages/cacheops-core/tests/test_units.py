"""Units of work: changes, savepoints, and what is owed while the server is away."""

import sys
import threading

from cacheops_core.units import OWED_PARTS, OWED_ROWS, Change, Debt, Owed, Unit, compact, merge


def test_a_unit_remembers_rows_and_whole_tables():
    unit = Unit()
    unit.add("a", [{"x": "1"}, {"x": "2"}])
    unit.add("b", None)
    assert unit.changes == [Change("a", {"x": "1"}), Change("a", {"x": "2"}), Change("b")]
    assert unit.tables == {"a", "b"}


def test_each_unit_has_an_id_of_its_own():
    assert Unit().id != Unit().id


def test_a_rolled_back_savepoint_takes_its_changes_with_it():
    unit = Unit()
    unit.add("a", None)
    unit.mark("s")
    unit.add("b", None)
    assert unit.roll_back_to("s") == [Change("b")]
    assert unit.tables == {"a"}


def test_an_outer_savepoint_takes_the_inner_ones_changes_too():
    unit = Unit()
    unit.mark("outer")
    unit.add("a", None)
    unit.mark("inner")
    unit.add("b", None)
    unit.roll_back_to("outer")
    assert not unit.changes


def test_a_savepoint_can_be_rolled_back_to_twice():
    unit = Unit()
    unit.mark("s")
    unit.add("a", None)
    unit.roll_back_to("s")
    unit.add("b", None)
    assert unit.roll_back_to("s") == [Change("b")]


def test_an_unknown_savepoint_forgets_nothing():
    unit = Unit()
    unit.add("a", None)
    assert unit.roll_back_to("never begun") == []
    assert unit.tables == {"a"}


def test_equal_rows_are_sent_once():
    rows = [{"x": "1", "y": None}, {"y": None, "x": "1"}, {"x": "2", "y": None}]
    assert compact([Change("a", row) for row in rows]) == {"a": [rows[0], rows[2]]}


def test_null_and_the_text_of_nothing_are_two_rows():
    assert compact([Change("a", {"x": None}), Change("a", {"x": ""})]) == {"a": [{"x": None}, {"x": ""}]}


def test_rows_of_a_table_that_changed_as_a_whole_are_not_sent():
    assert compact([Change("a", {"x": "1"}), Change("a"), Change("a", {"x": "2"})]) == {"a": None}


def test_merged_changes_are_those_of_all():
    assert merge([{"a": [{"x": "1"}]}, {"a": [{"x": "2"}], "b": None}]) == {
        "a": [{"x": "1"}, {"x": "2"}],
        "b": None,
    }


def test_many_merged_rows_are_the_whole_table():
    assert merge([{"a": [{"x": str(i)} for i in range(OWED_ROWS + 1)]}]) == {"a": None}


def test_what_is_owed_stays_until_it_is_settled():
    owed = Owed()
    owed.add(Debt({"a": None}))
    debts = owed.debts()
    owed.add(Debt({"b": None}))
    owed.settle(debts)
    assert merge(debt.changes for debt in owed.debts().values()) == {"b": None}


def test_what_is_owed_does_not_grow_without_end():
    owed = Owed()
    for i in range(10 * OWED_PARTS):
        owed.add(Debt({"a": [{"x": str(i % 7)}]}))
    assert len(owed.debts()) <= OWED_PARTS + 1
    assert len(merge(debt.changes for debt in owed.debts().values())["a"]) == 7


def test_threads_lose_nothing_that_is_owed():
    owed, settled, begun = Owed(), [], threading.Barrier(5)

    def owe(name):
        begun.wait()
        for i in range(300):
            owed.add(Debt({f"{name}-{i}": None}))

    def settle():
        begun.wait()
        for _ in range(300):
            debts = owed.debts()
            settled.extend(merge(debt.changes for debt in debts.values()))
            owed.settle(debts)

    threads = [threading.Thread(target=owe, args=(n,)) for n in range(4)] + [threading.Thread(target=settle)]
    switching = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(switching)
    assert {*settled, *merge(debt.changes for debt in owed.debts().values())} == {
        f"{n}-{i}" for n in range(4) for i in range(300)
    }
