"""What is asked again with another value is asked by the SQL that Django would compile, with its parameters."""

from types import SimpleNamespace
from typing import Any

import pytest
from alike import ALIKE, Make
from django.db import DatabaseError, connection, connections
from django.db.models import Q, QuerySet
from django.db.models.sql import compiler as compilers
from django.test.utils import CaptureQueriesContext
from testapp.models import Author, Category, Everything, Post

from cacheops_django import plans, reads, statements

pytestmark = pytest.mark.django_db

LOOKUPS: dict[str, tuple[Make, Any, Any]] = {
    lookup: ((lambda value, name=f"title__{lookup}": Post.objects.filter(**{name: value})), "a%", "b_\\'")
    for lookup in ("contains", "icontains", "startswith", "iendswith", "iexact", "regex", "gte")
}


OFTEN = 4
"""So many times a queryset is asked for until its steps, its key and its statement are known."""


@pytest.fixture(autouse=True)
def _rows() -> None:
    plans.forget()
    connections["default"].__dict__.pop("_cacheops_selects", None)
    category, author = Category.objects.create(id=1, title="a"), Author.objects.create(name="a")
    Post.objects.create(category=category, title="a%", views=1, editor=author)
    Post.objects.create(category=category, title="b", views=2, editor=author)
    Everything.objects.create(price="1.5")


def rows_of(queryset: QuerySet[Any, Any]) -> tuple[Any, ...]:
    """Return what a miss brings, as rows."""
    question = reads.ask(queryset, "fetch")
    assert question is not None
    return statements.rows(queryset, "default", question.plan.pattern)


def compiled(queryset: QuerySet[Any, Any]) -> tuple[Any, ...]:
    """Return what Django brings."""
    return tuple(queryset.query.get_compiler("default").results_iter(tuple_expected=True))


def known() -> list[Any]:
    return list(connections["default"].__dict__.get("_cacheops_selects", {}).values())


@pytest.mark.parametrize("make,first,second", [*ALIKE.values(), *LOOKUPS.values()], ids=[*ALIKE, *LOOKUPS])
def test_what_is_alike_is_asked_as_django_asks_it(make: Make, first: Any, second: Any) -> None:
    for value in [first, second] * OFTEN:
        with CaptureQueriesContext(connection) as asked:
            found, expected = rows_of(make(value)), compiled(make(value))
        assert found == expected
        assert [*map(type, sum(found, ()))] == [*map(type, sum(expected, ()))]
        assert asked[0]["sql"] == asked[1]["sql"]
    assert any(isinstance(one, statements.Statement) for one in known())


@pytest.mark.parametrize("values", [(1, -1, 2**70), (-1, 1, 2**70), (2**70, -(2**70), 1)])
@pytest.mark.parametrize("lookup", ["exact", "gt", "gte", "lt", "lte"])
def test_a_number_that_the_column_cannot_hold_decides_its_condition(
    lookup: str, values: tuple[int, ...]
) -> None:
    Everything.objects.update(small=1)
    for value in values * OFTEN:
        queryset = Everything.objects.filter(**{f"small__{lookup}": value})
        plain = list(queryset.nocache().values_list("pk"))
        assert list(queryset.values_list("pk")) == plain
        assert [(row.pk,) for row in queryset.all()] == plain
        Everything.objects.create().delete()


def test_what_is_known_is_neither_built_nor_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    for views in [1, 2] * OFTEN:
        rows_of(Post.objects.filter(views=views, title="b"))
    compilings = []
    monkeypatch.setattr(compilers.SQLCompiler, "setup_query", lambda *args, **kwargs: compilings.append(args))
    queryset = Post.objects.filter(views=2, title="b")
    assert len(rows_of(queryset)) == 1
    assert compilings == []
    assert "_query" not in vars(queryset)


def test_what_was_built_is_not_compiled_either(monkeypatch: pytest.MonkeyPatch) -> None:
    for views in [1, 2] * OFTEN:
        rows_of(Post.objects.filter(Q(views=views)))
    compilings = []
    monkeypatch.setattr(compilers.SQLCompiler, "setup_query", lambda *args, **kwargs: compilings.append(args))
    assert len(rows_of(Post.objects.filter(Q(views=2)))) == 1
    assert compilings == []


def test_equal_values_are_told_apart_by_others() -> None:
    for views, category in [*[(1, 1)] * OFTEN, (1, 7), (2, 1), (7, 1), (1, 1), (1, 2)]:
        queryset = Post.objects.filter(views=views, category=category)
        assert len(rows_of(queryset)) == (category == 1 and views in (1, 2))


def test_what_is_asked_once_is_not_kept() -> None:
    rows_of(Post.objects.filter(views=1))
    assert known() == [statements.SEEN_ONCE]


def test_what_has_no_pattern_is_compiled() -> None:
    for _ in range(OFTEN):
        assert len(rows_of(Post.objects.filter(views__in=[1, 2]))) == 2
    assert known() == []


def test_parameters_beyond_those_of_the_conditions_are_compiled() -> None:
    if connection.features.supports_logical_xor:
        pytest.skip("XOR repeats no parameter here")
    for views in [1, 2] * OFTEN:
        assert len(rows_of(Post.objects.filter(Q(views=views) ^ Q(category=7)))) == 1
    assert known() == [None]


def test_a_compiler_of_others_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    class Compiler(compilers.SQLCompiler):
        def as_sql(self, *args: Any, **kwargs: Any) -> Any:
            compilings.append(args)
            return super().as_sql(*args, **kwargs)

    for views in [1, 2] * OFTEN:
        rows_of(Post.objects.filter(views=views))
    compilings: list[Any] = []
    monkeypatch.setattr(connection.ops, "_cache", SimpleNamespace(SQLCompiler=Compiler))
    assert len(rows_of(Post.objects.filter(views=1))) == 1
    assert compilings


def test_a_table_that_has_another_name_by_now_is_asked_under_that(monkeypatch: pytest.MonkeyPatch) -> None:
    for title in ["a", "b"] * OFTEN:
        rows_of(Category.objects.filter(title=title))
    monkeypatch.setattr(Category._meta, "db_table", "elsewhere")
    with pytest.raises(DatabaseError, match="elsewhere"):
        rows_of(Category.objects.filter(title="a"))


def test_what_watches_statements_sees_them() -> None:
    seen = []

    def watch(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        seen.append(params)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(watch):
        for views in [1, 2, 3] * OFTEN:
            rows_of(Post.objects.filter(views=views))
    assert seen == [(1,), (2,), (3,)] * OFTEN


def test_a_connection_remembers_about_so_many_statements(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements, "KNOWN_STATEMENTS", 2)
    for number in range(1, 9):
        for views in [1, 2] * OFTEN:
            rows_of(Post.objects.filter(views=views)[:number])
    assert len(known()) <= 4
