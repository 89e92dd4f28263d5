"""What the cache does is counted by model, op and query, and a hit costs next to nothing more for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import transaction
from django.db.models import Count
from django.db.models.functions import Now
from django.template import Context, Engine
from django.test import override_settings
from testapp.models import Category, Post, Tag

from cacheops_core.units import Change
from cacheops_django import counters, reasons
from cacheops_django.counters import Tally
from cacheops_django.functions import cached, cached_as
from cacheops_django.invalidation import invalidate_all, invalidate_model
from cacheops_django.query_texts import LONGEST, readable

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nothing_counted(db: None) -> Iterator[None]:
    counters.reset()
    yield
    counters.reset()


def counted(model: str, op: str, *names: str) -> list[int]:
    counts = counters.collect()
    return [counts.get((model, op, name), 0) for name in names]


ASKED: dict[str, Any] = {
    "fetch": lambda: list(Tag.objects.all()),
    "get": lambda: Tag.objects.filter(name="a").first(),
    "count": Tag.objects.count,
    "exists": Tag.objects.exists,
    "aggregate": lambda: Tag.objects.aggregate(Count("pk")),
}


@pytest.mark.parametrize("lock", [False, True], ids=["alone", "with a lock"])
@pytest.mark.parametrize("op", ASKED)
def test_misses_fills_and_hits_are_counted_by_op(op: str, lock: bool):
    profile = {"ops": "all", "timeout": 60, "lock": lock}
    with override_settings(CACHEOPS={"testapp.*": profile}):
        for _ in range(3):
            ASKED[op]()
    assert counted("testapp.Tag", op, "misses", "fills", "hits") == [1, 1, 2]


@pytest.mark.django_db(transaction=True)
def test_a_hit_on_an_event_loop_is_a_hit():
    Tag.objects.count()

    async def twice() -> None:
        for _ in range(2):
            await Tag.objects.acount()

    async_to_sync(twice)()
    assert counted("testapp.Tag", "count", "misses", "hits") == [1, 2]


def test_an_answer_that_may_not_be_stored_is_a_miss_without_a_fill():
    with override_settings(CACHEOPS={"testapp.*": {"ops": "all", "timeout": 60}}), transaction.atomic():
        Tag.objects.create(name="a")
        Tag.objects.count()
        assert counted("testapp.Tag", "count", "misses", "bypass:transaction") == [0, 1]


@cached_as(Tag)
def tag_names() -> list[str]:
    return [tag.name for tag in Tag.objects.nocache()]


@cached_as(Tag, lock=True)
def tag_count() -> int:
    return Tag.objects.nocache().count()


@cached(timeout=60)
def double(number: int) -> int:
    return 2 * number


@cached_as(Tag)
async def tag_names_awaited() -> list[str]:
    return [tag.name async for tag in Tag.objects.nocache()]


CALLED = {
    "cached_as": (tag_names, "testapp.Tag", "cached_as"),
    "with a lock": (tag_count, "testapp.Tag", "cached_as"),
    "cached": (lambda: double(2), "", "cached"),
    "awaited": (async_to_sync(tag_names_awaited), "testapp.Tag", "cached_as"),
}


@pytest.mark.parametrize("call, model, op", CALLED.values(), ids=CALLED)
def test_calls_are_counted_as_well(call: Any, model: str, op: str):
    for _ in range(3):
        call()
    assert counted(model, op, "misses", "fills", "hits") == [1, 1, 2]


def test_fragments_are_counted_by_their_tag():
    engine = Engine(libraries={"cacheops": "cacheops_django.templatetags.cacheops"})
    template = engine.from_string("{% load cacheops %}{% cached 60 'menu' %}menu{% endcached %}")
    for _ in range(2):
        template.render(Context())
    [tally] = [tally for tally in counters.tallies() if tally.hits]
    assert (tally.what, tally.misses, tally.hits) == ("{% cached %} in a template", 1, 1)


def test_functions_are_told_apart_by_name():
    tag_names()
    assert f"{__name__}.tag_names" in {tally.what for tally in counters.tallies() if tally.misses}


def test_queries_that_differ_in_values_are_one_query():
    for name in "abc":
        list(Tag.objects.filter(name=name))
    [tally] = [tally for tally in counters.tallies() if tally.misses]
    assert (
        tally.what == "SELECT testapp_tag.id, testapp_tag.name FROM testapp_tag WHERE testapp_tag.name = %s"
    )
    assert tally.misses == 3


@pytest.mark.parametrize(
    "ask, kind",
    [
        (lambda: list(Tag.objects.order_by("?")), "volatile"),
        (lambda: list(Tag.objects.annotate(now=Now())), "volatile"),
        (lambda: list(Tag.objects.extra(where=["1 = 1"])), "raw"),
        (lambda: list(Tag.objects.none().union(Tag.objects.none())), "empty"),
    ],
    ids=["order", "now", "extra", "empty"],
)
def test_what_is_not_cached_is_counted_by_the_kind_of_reason(ask: Any, kind: str):
    ask()
    assert counted("testapp.Tag", "fetch", f"bypass:{kind}") == [1]


def test_a_reason_has_a_remedy():
    Tag.objects.order_by("?").first()
    [(_, _, reason)] = reasons.bypasses
    assert "Compute the value in Python" in reason.remedy


def test_reasons_without_end_are_counted_together(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reasons, "MOST_REASONS", 2)
    for number in range(5):
        reasons.record("testapp.Tag", "get", f"reason {number}", "unknown")
    assert len(reasons.bypasses) == 3
    assert counted("testapp.Tag", "get", "bypass:unknown") == [5]


def test_queries_without_end_are_counted_together(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(counters, "MOST_TALLIES", len(counters.tallies()))
    for text in ("new", "newer"):
        assert counters.tally_of("testapp.Tag", "get", text).what == ""


def test_a_drop_is_counted_once_for_each_table_that_a_transaction_has_changed():
    category = Category.objects.create(title="a")
    counters.reset()
    Post.objects.bulk_create([Post(title=str(number), category=category) for number in range(3)])
    invalidate_model(Tag)
    assert counted("testapp.Post", "", "drop:rows", "drop:table") == [1, 0]
    assert counted("testapp.Tag", "", "drop:rows", "drop:table") == [0, 1]


def test_of_a_table_that_was_dropped_as_a_whole_no_rows_are_counted():
    table = Tag._meta.db_table
    counters.dropped([Change(table), Change(table, {"id": "1"})])
    assert counted("testapp.Tag", "", "drop:rows", "drop:table") == [0, 1]


def test_dropping_everything_is_counted():
    invalidate_all()
    assert counted("", "", "drop:all") == [1]


def test_a_hit_saves_what_an_answer_takes_on_average():
    tally = Tally("shop.Product", "get", "")
    tally.missed(0.2, is_stored=True)
    tally.hits += 3
    assert tally.saved == pytest.approx(0.6)
    tally.missed(0.4, is_stored=True)
    tally.hits += 1
    assert tally.saved == pytest.approx(0.6 + 0.3)


def test_hits_on_what_others_have_computed_count_once_it_is_known_what_that_takes():
    tally = Tally("shop.Product", "get", "")
    tally.hits += 2
    assert tally.saved == 0
    tally.missed(0.5, is_stored=True)
    assert tally.saved == pytest.approx(1.0)


@pytest.mark.parametrize(
    "sql, text",
    [
        ('SELECT "a"."b" FROM "a" WHERE "a"."b" = %s', "SELECT a.b FROM a WHERE a.b = %s"),
        ("SELECT `a`.`b`, `a`.`c`, `a`.`d` FROM `a`", "SELECT … FROM a"),
        ("SELECT DISTINCT a.b, a.c, a.d, COUNT(x) AS n FROM a", "SELECT DISTINCT …, COUNT(x) AS n FROM a"),
        ("SELECT a.b FROM a WHERE a.b IN (%s, %s, %s)", "SELECT a.b FROM a WHERE a.b IN (%s, …)"),
        ("SELECT a.b FROM a LIMIT 40 OFFSET 80", "SELECT a.b FROM a LIMIT %s OFFSET %s"),
    ],
)
def test_queries_are_shortened_to_what_tells_them_apart(sql: str, text: str):
    assert readable(sql) == text


def test_no_text_is_longer_than_can_be_shown():
    assert len(readable("SELECT " + "x" * 1000)) == LONGEST
