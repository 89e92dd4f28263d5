"""Every way to begin a transaction and to end it, at each isolation: others see all of it or nothing."""

from collections.abc import Callable, Iterator

import pytest
from processes import Actor
from project.shop import actions
from project.shop.transactions import ENDS, LEVELS, WAYS, Seen, change, is_committed, use_isolation

Start = Callable[[], Actor]


OPS = ["get", "list", "joined"]
"""Reads of what is written."""


@pytest.fixture(params=LEVELS)
def people(request: pytest.FixtureRequest, actor: Start) -> Iterator[tuple[Actor, Actor]]:
    """A reader and a writer whose transactions are isolated at a level."""
    both = actor(), actor()
    for one in both:
        one.do(use_isolation, request.param)
    yield both
    for one in both:
        if one.is_idle:
            one.do(use_isolation, "read committed")


@pytest.mark.parametrize("way", WAYS)
def test_others_see_what_is_committed_and_nothing_else(people: tuple[Actor, Actor], way: str):
    reader, writer = people
    (here, *_), (pk, *_) = writer.do(actions.make_shop, 1, 1)
    reader.do(actions.read_all, [here], pk)
    for end in ENDS:
        before = reader.do(actions.read_all, [here], pk, OPS)
        writer.hold(("after", "write"))
        writer.begin(change, way, end, pk, f"renamed before {end}")
        writer.wait_until_held()
        is_visible = way == "autocommit"
        assert (reader.do(actions.read_all, [here], pk, OPS) != before) is is_visible, end
        assert writer.go_on() == Seen(is_own=True, is_other_cached=True), end
        after = reader.do(actions.read_all, [here], pk, OPS)
        assert after == reader.do(actions.all_truth, [here], pk, OPS), end
        assert (after != before) is is_committed(way, end), end
        assert writer.do(actions.read_all, [here], pk, OPS) == after, end
