"""What counts as stale: the ledger and the judge, told by hand what readers and writers would tell them."""

import time
from pathlib import Path

import pytest
from soak.judge import Judge
from soak.ledger import Ledger
from soak.tally import Tally

ROW, HERE, THERE = 0, 1, 2


@pytest.fixture
def ledger() -> Ledger:
    made = Ledger(rows=2, places=3, writers=2, bound=0.2)
    for row in (ROW, 1):
        made.begin(row, 1)
        made.publish(0, row, 1, HERE)
    return made


@pytest.fixture
def counts(tmp_path: Path):
    tally = Tally(("get",), 1, tmp_path)
    return tally.of(0)


def found(counts, kind: str) -> int:
    return counts.tally.total()[kind]


def test_what_had_returned_before_a_read_began_must_be_seen(ledger: Ledger):
    view = ledger.look()
    assert view.row(ROW, 0, HERE)
    assert view.row(ROW, 1, THERE)
    assert view.row(ROW, 1, HERE) is None
    assert view.row(ROW, 2, THERE) is None


def test_whichever_writer_was_the_last_to_return_counts(ledger: Ledger):
    ledger.begin(ROW, 2)
    ledger.publish(1, ROW, 2, THERE)
    assert ledger.look().row(ROW, 1, HERE)


def test_a_row_that_is_being_written_may_be_anywhere(ledger: Ledger):
    view = ledger.look()
    assert view.listing(HERE, {ROW: 1})
    assert view.listing(HERE, {ROW: 1, 1: 1}) is None
    ledger.begin(1, 2)
    assert view.listing(HERE, {ROW: 1}) is None
    assert view.listing(HERE, {1: 1})
    assert view.count(HERE, 1) is None
    assert view.count(HERE, 0)
    assert view.places(1, [THERE]) is None


def test_a_row_whose_write_was_taken_back_is_where_it_was(ledger: Ledger):
    ledger.begin(1, 2)
    ledger.take_back(1, 2)
    assert ledger.look().listing(HERE, {ROW: 1})


def test_a_stale_read_is_counted_and_told(ledger: Ledger, counts):
    judge = Judge(ledger, counts, lag=0.0)
    judge.check(judge.look(), "get", lambda view: view.row(ROW, 0, HERE))
    judge.check(judge.look(), "get", lambda view: view.row(ROW, 1, HERE))
    assert (found(counts, "reads"), found(counts, "stale")) == (2, 1)
    assert "row 0 has version 0, 1 had returned" in counts.tally.examples()[0]


def test_a_stale_read_is_excused_during_a_fault_and_for_its_bound_and_no_longer(ledger: Ledger, counts):
    judge = Judge(ledger, counts, lag=0.0)

    def read_something_stale() -> None:
        judge.check(judge.look(), "get", lambda view: view.row(ROW, 0, HERE))

    ledger.open_window()
    read_something_stale()
    ledger.close_window()
    read_something_stale()
    assert (found(counts, "stale"), found(counts, "within bound")) == (0, 2)
    time.sleep(0.25)
    read_something_stale()
    assert (found(counts, "stale"), found(counts, "within bound")) == (1, 2)


def test_a_read_that_began_before_a_fault_is_not_excused(ledger: Ledger, counts):
    judge = Judge(ledger, counts, lag=0.0)
    look = judge.look()
    ledger.open_window()
    judge.check(look, "get", lambda view: view.row(ROW, 0, HERE))
    assert found(counts, "stale") == 1


def test_a_read_may_be_behind_by_the_lag_and_no_more(ledger: Ledger, counts):
    judge = Judge(ledger, counts, lag=0.2)
    judge.look()
    time.sleep(0.25)
    ledger.begin(ROW, 2)
    ledger.publish(0, ROW, 2, THERE)
    judge.check(judge.look(), "get", lambda view: view.row(ROW, 1, HERE))
    assert (found(counts, "stale"), found(counts, "within bound")) == (0, 1)
    judge.look()
    time.sleep(0.25)
    judge.check(judge.look(), "get", lambda view: view.row(ROW, 1, HERE))
    assert (found(counts, "stale"), found(counts, "within bound")) == (1, 1)


def test_when_all_is_quiet_every_answer_has_to_be_what_the_database_says(ledger: Ledger, counts):
    judge, view = Judge(ledger, counts, lag=5.0), ledger.look().of_database([(3, HERE), (1, THERE)])
    ledger.open_window()
    judge.settle(view, "get", lambda view: view.row(ROW, 3, HERE))
    judge.settle(view, "get", lambda view: view.row(ROW, 2, HERE))
    assert found(counts, "stale") == 1
