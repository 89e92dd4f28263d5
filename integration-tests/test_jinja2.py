"""Fragments of Jinja2 templates in a Django project: never older than the last write that has returned."""

from collections.abc import Callable
from pathlib import Path

import pytest
from processes import Actor
from project.shop import actions, fragments

Start = Callable[[], Actor]

KINDS = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
SAMPLES = pytest.mark.parametrize("page", ["queryset", "model", "instance"])


@KINDS
@pytest.mark.parametrize("page", fragments.PAGES)
def test_a_fragment_is_drawn_once_for_all_processes(actor: Start, page: str, is_async: bool):
    one, other = actor(), actor()
    (here, *_), (pk, *_) = one.do(actions.make_shop)
    first = one.do(fragments.render, page, here, pk, is_async)
    assert first == (one.do(fragments.truth, page, here, pk), True)
    assert other.do(fragments.render, page, here, pk, is_async) == (first.text, False)


@KINDS
@SAMPLES
def test_a_write_in_another_process_is_seen_when_it_has_returned(actor: Start, page: str, is_async: bool):
    reader, writer = actor(), actor()
    (here, there, _), (pk, *_) = writer.do(actions.make_shop)
    reader.do(fragments.render, page, here, pk, is_async)
    writer.do(actions.move, pk, there)
    found = reader.do(fragments.render, page, here, pk, is_async)
    assert found == (reader.do(fragments.truth, page, here, pk), True)


@KINDS
@SAMPLES
def test_a_text_that_was_drawn_before_a_commit_is_never_served(actor: Start, page: str, is_async: bool):
    reader, writer = actor(), actor()
    (here, there, _), (pk, *_) = writer.do(actions.make_shop)
    reader.hold(("before", "SET"))
    reader.begin(fragments.render, page, here, pk, is_async)
    reader.wait_until_held()
    writer.do(actions.move, pk, there)
    reader.go_on()
    found = reader.do(fragments.render, page, here, pk, is_async)
    assert found == (reader.do(fragments.truth, page, here, pk), True)


@KINDS
@SAMPLES
def test_what_a_transaction_has_written_is_shown_to_it_and_not_kept(actor: Start, page: str, is_async: bool):
    reader = actor()
    (here, *_), (pk, *_) = reader.do(actions.make_shop)
    before, inside, after = reader.do(fragments.render_in_transaction, page, here, pk, is_async)
    assert str(fragments.UNUSUAL) not in before.text
    assert str(fragments.UNUSUAL) in inside.text
    assert after.text == before.text


@pytest.mark.one_database
def test_fragments_with_other_samples_are_others(actor: Start):
    reader = actor()
    (here, there, _), (pk, *_) = reader.do(actions.make_shop)
    texts = [reader.do(fragments.render, "queryset", category, pk).text for category in (here, there)]
    assert texts == [reader.do(fragments.truth, "queryset", category, pk) for category in (here, there)]


@pytest.mark.one_database
def test_a_write_elsewhere_leaves_a_fragment(actor: Start):
    reader, writer = actor(), actor()
    (here, there, _), (pk, *others) = writer.do(actions.make_shop)
    reader.do(fragments.render, "queryset", here, pk)
    writer.do(actions.move, others[-1], there)
    assert not reader.do(fragments.render, "queryset", here, pk).is_drawn


@pytest.mark.one_database
def test_many_async_pages_at_once_do_not_wait_for_one_another(actor: Start):
    reader = actor()
    (here, *_), (pk, *_) = reader.do(actions.make_shop)
    texts = reader.do(fragments.render_together, "queryset", here, pk)
    assert set(texts) == {reader.do(fragments.truth, "queryset", here, pk)}


@KINDS
@pytest.mark.one_database
def test_an_environment_may_have_a_file_cache_of_its_own(actor: Start, tmp_path: Path, is_async: bool):
    first, second, message = actor().do(fragments.render_with_files, str(tmp_path), is_async)
    assert first == second == "1"
    assert "line 1 needs a cache that follows what a text depends on, got cacheops_filecache" in message
    assert list(tmp_path.iterdir())
