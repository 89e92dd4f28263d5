"""The races that make other caches stale, each forced at its exact point by holding a process there."""

import time
from collections.abc import Callable

import pytest
import redis
from processes import Actor
from project.shop import actions
from soak.tweaks import acquire_late

Start = Callable[[], Actor]


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "this has not come to pass"
        time.sleep(0.01)


def assert_no_read_is_stale(reader: Actor, categories: list[int], pk: int) -> None:
    assert reader.do(actions.read_all, categories, pk) == reader.do(actions.all_truth, categories, pk)


@pytest.mark.parametrize("op", actions.READS)
def test_rows_selected_before_a_commit_are_never_served(actor: Start, op: str):
    reader, writer = actor(), actor()
    (here, there, _), (pk, *_) = writer.do(actions.make_shop)
    reader.hold(("before", "SET"))
    reader.begin(actions.read, op, here, pk)
    reader.wait_until_held()
    writer.do(actions.move, pk, there)
    assert not reader.go_on().is_hit
    assert reader.do(actions.read, op, here, pk).value == reader.do(actions.truth, op, here, pk)


def test_a_cache_that_takes_its_stamps_too_late_serves_them(actor: Start, redis_client: redis.Redis):
    # So the test above would notice.
    reader, writer = actor(), actor()
    (here, there, _), (pk, *_) = writer.do(actions.make_shop)
    reader.do(acquire_late)
    reader.do(actions.read, "list", here, pk)
    redis_client.delete(*redis_client.scan_iter("e:*"))
    reader.hold(("before", "acquire"))
    reader.begin(actions.read, "list", here, pk)
    reader.wait_until_held()
    writer.do(actions.move, pk, there)
    reader.go_on()
    assert reader.do(actions.read, "list", here, pk).value != reader.do(actions.truth, "list", here, pk)
    reader.kill()


@pytest.mark.parametrize("op", actions.READS)
def test_what_is_read_while_nobody_writes_is_served(actor: Start, op: str):
    reader, other = actor(), actor()
    (here, *_), (pk, *_) = other.do(actions.make_shop)
    first = reader.do(actions.read, op, here, pk)
    assert other.do(actions.read, op, here, pk) == (first.value, True)


@pytest.mark.parametrize("change", actions.CHANGES)
def test_every_change_is_seen_by_others_when_it_has_returned(actor: Start, change: str):
    reader, writer = actor(), actor()
    categories, (pk, *_) = writer.do(actions.make_shop)
    before = reader.do(actions.read_all, categories, pk)
    writer.do(actions.CHANGES[change], pk, categories[1])
    assert_no_read_is_stale(reader, categories, pk)
    assert reader.do(actions.read_all, categories, pk) != before


@pytest.mark.parametrize("change", actions.CHANGES)
def test_no_change_is_missed_by_a_reader_that_fills_late(actor: Start, change: str):
    writer, readers = actor(), {op: actor() for op in ("list", "joined", "tagged", "aggregate")}
    categories, (pk, *_) = writer.do(actions.make_shop)
    for op, reader in readers.items():
        reader.hold(("before", "SET"))
        reader.begin(actions.read, op, categories[0], pk)
        reader.wait_until_held()
    writer.do(actions.CHANGES[change], pk, categories[1])
    for reader in readers.values():
        reader.go_on()
    assert_no_read_is_stale(reader, categories, pk)


def test_no_list_keeps_a_row_saved_from_an_old_copy(actor: Start):
    reader, slow, quick = actor(), actor(), actor()
    categories, (pk, *_) = quick.do(actions.make_shop)
    slow.do(actions.load, pk)
    quick.do(actions.move, pk, categories[1])
    reader.do(actions.read_all, categories, pk)
    slow.do(actions.save_copy, pk, categories[2])
    assert_no_read_is_stale(reader, categories, pk)


def test_no_list_keeps_a_row_whose_writers_waited_for_each_other(actor: Start):
    reader, slow, quick = actor(), actor(), actor()
    categories, (pk, *_) = quick.do(actions.make_shop)
    slow.do(actions.load, pk)
    quick.do(actions.begin)
    quick.do(actions.move, pk, categories[1])
    slow.hold(("before", "fence"))
    slow.begin(actions.save_copy, pk, categories[2])
    wait_for(lambda: reader.do(actions.someone_waits))
    quick.do(actions.commit)
    slow.wait_until_held()
    reader.do(actions.read_all, categories, pk)
    slow.go_on()
    assert_no_read_is_stale(reader, categories, pk)


def test_what_is_written_in_an_open_transaction_is_seen_by_it_and_by_nobody_else(actor: Start):
    reader, writer = actor(), actor()
    categories, (pk, *_) = writer.do(actions.make_shop)
    before = reader.do(actions.read_all, categories, pk)
    writer.do(actions.begin)
    writer.do(actions.move, pk, categories[1])
    assert_no_read_is_stale(writer, categories, pk)
    assert reader.do(actions.read_all, categories, pk) == before
    writer.do(actions.commit)
    assert_no_read_is_stale(reader, categories, pk)


POINTS = [("before", "fence"), ("after", "fence"), ("before", "release"), ("after", "release")]


@pytest.mark.parametrize("point", POINTS, ids=" ".join)
def test_nothing_is_stale_while_a_writer_is_anywhere(actor: Start, point: tuple[str, str]):
    reader, writer = actor(), actor()
    categories, (pk, *_) = writer.do(actions.make_shop)
    reader.do(actions.read_all, categories, pk)
    writer.hold(point)
    writer.begin(actions.move, pk, categories[1])
    writer.wait_until_held()
    assert_no_read_is_stale(reader, categories, pk)
    writer.go_on()
    assert_no_read_is_stale(reader, categories, pk)


@pytest.mark.parametrize("point", POINTS, ids=" ".join)
def test_a_writer_killed_anywhere_leaves_nothing_stale_and_fills_resume(actor: Start, point: tuple[str, str]):
    reader, writer = actor(), actor()
    categories, (pk, *_) = writer.do(actions.make_shop)
    reader.do(actions.read_all, categories, pk)
    writer.do(actions.let_fences_live, 1.0)
    writer.hold(point)
    writer.begin(actions.move, pk, categories[1])
    writer.wait_until_held()
    writer.kill()
    assert_no_read_is_stale(reader, categories, pk)
    for op in actions.READS:
        for category in categories:
            wait_for(lambda op=op, category=category: reader.do(actions.read, op, category, pk).is_hit)
    assert_no_read_is_stale(reader, categories, pk)


def test_a_dead_writer_keeps_others_from_storing_until_its_fence_expires(actor: Start):
    reader, writer = actor(), actor()
    (here, there, *_), (pk, *_) = writer.do(actions.make_shop)
    writer.hold(("after", "fence"))
    writer.begin(actions.move, pk, there)
    writer.wait_until_held()
    writer.kill()
    reads = [reader.do(actions.read, "list", here, pk) for _ in range(3)]
    assert not any(answer.is_hit for answer in reads)
