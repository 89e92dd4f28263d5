"""What the cache costs in waiting for its server, as seen by a process of a real project."""

from collections.abc import Callable

import pytest
from processes import Actor
from project.shop import actions

pytestmark = pytest.mark.one_database

Start = Callable[[], Actor]


@pytest.mark.parametrize("op", actions.READS)
def test_a_hit_is_one_round_trip(actor: Start, op: str):
    reader = actor()
    (here, *_), (pk, *_) = reader.do(actions.make_shop)
    reader.do(actions.read, op, here, pk)
    assert reader.do(actions.count_trips, actions.read, op, here, pk) == [("MGET",)]


def test_a_transaction_of_200_saves_is_two_round_trips(actor: Start):
    writer = actor()
    categories, pks = writer.do(actions.make_shop, 4, 50)
    writer.do(actions.read_all, categories, pks[0])
    assert len(writer.do(actions.count_trips, actions.save_all_in_one_transaction, pks)) <= 2


def test_10000_rows_created_in_bulk_are_two_round_trips(actor: Start):
    writer = actor()
    categories, pks = writer.do(actions.make_shop)
    writer.do(actions.read_all, categories, pks[0])
    assert len(writer.do(actions.count_trips, actions.create_in_bulk, categories[0], 10_000)) <= 2


def test_200_rows_updated_in_bulk_are_two_round_trips(actor: Start):
    writer = actor()
    categories, pks = writer.do(actions.make_shop, 4, 50)
    writer.do(actions.read_all, categories, pks[0])
    assert len(writer.do(actions.count_trips, actions.update_in_bulk, pks)) <= 2
