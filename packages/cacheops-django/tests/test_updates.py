"""A save is the UPDATE that Django would compile, with its parameters, whether or not it is compiled again."""

import datetime
import uuid
from decimal import Decimal
from typing import Any
from unittest import mock

import pytest
from django.db import connection, connections, transaction
from django.db.models import F, Value
from django.db.models.functions import Lower
from django.db.models.sql.compiler import SQLUpdateCompiler
from django.test.utils import CaptureQueriesContext
from testapp.models import Box, Category, Everything, Legacy, Pizzeria, Place, Post, Token

from cacheops_django import updates

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nothing_known() -> None:
    connections["default"].__dict__.pop("_cacheops_updates", None)


def known_statements() -> dict[Any, Any]:
    known: dict[Any, Any] = connections["default"].__dict__.get("_cacheops_updates", {})
    return known


def statements(write: Any) -> list[str]:
    """Return the UPDATEs that are executed, with their parameters, but for the one that takes SQLite's write lock."""
    with CaptureQueriesContext(connection) as captured:
        write()
    found = [query["sql"] for query in captured.captured_queries]
    return [sql for sql in found if sql.startswith("UPDATE") and not sql.endswith("WHERE 0")]


def is_as_django_does(write: Any) -> bool:
    """Tell whether a write, each time, executes what Django compiles for it."""
    with mock.patch.object(updates, "HAS_OWN", False):
        expected = statements(write)
    return bool(expected) and [statements(write) for _ in range(3)] == [expected] * 3


VALUES: dict[str, dict[str, Any]] = {
    "numbers": {"integer": 1, "small": 2, "big": 2**40, "number": 1.5},
    "nothing": {"integer": None, "char": None, "data": None},
    "some nothing": {"integer": 1, "char": None, "slug": "a"},
    "texts": {"char": "a%s' \"", "text": "b", "email": "", "slug": "c", "color": "red"},
    "decimals": {"price": Decimal("1.50"), "rate": Decimal(2)},
    "times": {
        "on": datetime.date(2026, 1, 1),
        "at": datetime.time(1, 2),
        "moment": datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
        "took": datetime.timedelta(1),
    },
    "others": {"key": uuid.UUID(int=1), "blob": b"\x00a", "ip": "10.0.0.1", "boolean": True, "data": {"a": [1]}},
    "fields of the project's own": {"words": ["a", "b"], "single": 1, "tenfold": 2},
}  # fmt: skip


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_a_save_is_the_statement_that_django_compiles(values: dict[str, Any]) -> None:
    row = Everything.objects.create()
    for name, value in values.items():
        setattr(row, name, value)
    assert is_as_django_does(row.save)


def test_saves_of_other_values_and_rows_are_their_own() -> None:
    rows = [Category.objects.create(title=f"t{number}") for number in range(4)]
    for number, row in enumerate(rows):
        row.title, row.parent = f"new {number}", rows[0] if number % 2 else None
        row.save()
    assert [(row.title, row.parent_id) for row in Category.objects.nocache().order_by("pk")] == [
        ("new 0", None), ("new 1", rows[0].pk), ("new 2", None), ("new 3", rows[0].pk)
    ]  # fmt: skip


WRITES: dict[str, Any] = {
    "some fields": lambda: Post.objects.nocache().get().save(update_fields=["title", "views"]),
    "an update of one row": lambda: Post.objects.filter(pk=1).update(title="x", views=3),
    "an update by another column": lambda: Post.objects.filter(title="p").update(views=3),
    "an update of several rows": lambda: Post.objects.filter(pk__in=[1, 2]).update(views=3),
    "an update of all rows": lambda: Post.objects.update(views=3),
    "an update under two conditions": lambda: Post.objects.filter(pk=1, title="p").update(views=3),
    "an update by a negation": lambda: Post.objects.exclude(pk=2).update(views=3),
    "an update by another table": lambda: Post.objects.filter(category__title="c").update(views=3),
    "an expression": lambda: Post.objects.filter(pk=1).update(views=F("views") + 1),
    "a function": lambda: Post.objects.filter(pk=1).update(title=Lower(Value("A"))),
    "an object": lambda: Post.objects.filter(pk=1).update(category=Category(pk=1)),
    "a table of another name": lambda: Legacy.objects.filter(pk="k").update(label="x"),
    "a parent's column": lambda: Pizzeria.objects.filter(pk=9).update(stars=4),
    "a child and its parents": lambda: Pizzeria(pk=9, name="n", cuisine="x", ovens=2).save(),
    "a key that is a UUID": lambda: Token.objects.filter(pk=uuid.UUID(int=5)).update(name="x"),
    "a row with a column that is computed": lambda: Box.objects.filter(pk=1).update(width=2),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_every_kind_of_update_is_the_statement_that_django_compiles(write: Any) -> None:
    Post.objects.create(pk=1, title="p", category=Category.objects.create(pk=1, title="c"))
    Legacy.objects.create(code="k", label="l")
    Pizzeria.objects.create(pk=9, name="n")
    Token.objects.create(pk=uuid.UUID(int=5))
    Box.objects.create(pk=1, width=1, height=3)
    assert is_as_django_does(write)


def test_a_row_with_a_column_that_the_database_computes_knows_it_after_a_save() -> None:
    box = Box.objects.create(width=1, height=3)
    for width in (2, 3, 4):
        box.width = width
        box.save()
        box.refresh_from_db()
        assert box.area == 3 * width


def test_the_second_save_of_a_kind_is_not_compiled() -> None:
    row = Place.objects.create(name="a")
    row.save()
    with mock.patch.object(updates, "_compiled", side_effect=AssertionError):
        row.save()
    # MySQL's compiler has a say of its own.
    known = known_statements()
    assert len(known) == (connection.vendor != "mysql")
    assert None not in known.values()


def test_a_value_that_its_field_refuses_is_refused_as_ever() -> None:
    row = Everything.objects.create()
    row.save()
    row.integer = "x"  # type: ignore[assignment]
    for _ in range(2):
        with pytest.raises(ValueError, match="expected a number"), transaction.atomic():
            row.save()


def test_a_compiler_that_somebody_has_changed_is_asked_each_time() -> None:
    row = Place.objects.create(name="a")
    row.save()

    def as_sql(self: Any) -> Any:
        sql, parameters = original(self)
        return f"{sql} /* told */", parameters

    original = SQLUpdateCompiler.as_sql
    with mock.patch.object(SQLUpdateCompiler, "as_sql", as_sql):
        assert "/* told */" in statements(row.save)[0]


def test_statements_are_not_remembered_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(updates, "KNOWN_STATEMENTS", 2)
    row = Everything.objects.create()
    for name in ("integer", "big", "char", "slug"):
        row.save(update_fields=[name])
    assert len(known_statements()) <= 2
