"""What is asked again with another value is asked by the SQL that Django would compile, with its parameters."""

from types import SimpleNamespace
from typing import Any

import pytest
from alike import ALIKE, Make
from django.db import connection, connections
from django.db.models import Q, QuerySet
from django.db.models.sql import compiler as compilers
from django.test.utils import CaptureQueriesContext
from testapp.models import Author, Category, Everything, Post

from cacheops_django import statements
from cacheops_django.fingerprints import pattern

pytestmark = pytest.mark.django_db

LOOKUPS: dict[str, tuple[Make, Any, Any]] = {
    lookup: ((lambda value, name=f"title__{lookup}": Post.objects.filter(**{name: value})), "a%", "b_\\'")
    for lookup in ("contains", "icontains", "startswith", "iendswith", "iexact", "regex", "gte")
}


@pytest.fixture(autouse=True)
def _rows() -> None:
    connections["default"].__dict__.pop("_cacheops_selects", None)
    category, user = Category.objects.create(id=1, title="a"), Author.objects.create(name="a")
    Post.objects.create(category=category, title="a%", views=1, editor=user)
    Post.objects.create(category=category, title="b", views=2, editor=user)
    Everything.objects.create(price="1.5")


def rows_of(queryset: QuerySet[Any, Any]) -> tuple[Any, ...]:
    asked = pattern(queryset.query, "default", "fetch", queryset.model, queryset._iterable_class)
    return statements.rows(queryset.query, "default", asked)


def known() -> list[Any]:
    return list(connections["default"].__dict__.get("_cacheops_selects", {}).values())


def compiled(queryset: QuerySet[Any, Any]) -> tuple[Any, ...]:
    return tuple(queryset.query.get_compiler("default").results_iter(tuple_expected=True))


@pytest.mark.parametrize("make,first,second", [*ALIKE.values(), *LOOKUPS.values()], ids=[*ALIKE, *LOOKUPS])
def test_what_is_alike_is_asked_as_django_asks_it(make: Make, first: Any, second: Any) -> None:
    for value in (first, second):
        rows_of(make(value))
    assert isinstance(known()[0], statements.Statement)
    for value in (first, second):
        with CaptureQueriesContext(connection) as asked:
            found, expected = rows_of(make(value)), compiled(make(value))
        assert found == expected
        assert [*map(type, sum(found, ()))] == [*map(type, sum(expected, ()))]
        assert asked[0]["sql"] == asked[1]["sql"]


def test_what_is_asked_for_the_second_time_is_compiled_for_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    for views in (1, 2):
        rows_of(Post.objects.filter(views=views))
    compilings = []
    monkeypatch.setattr(compilers.SQLCompiler, "setup_query", lambda *args, **kwargs: compilings.append(args))
    assert len(rows_of(Post.objects.filter(views=1))) == 1
    assert compilings == []


def test_what_is_asked_once_is_not_kept() -> None:
    rows_of(Post.objects.filter(views=1))
    assert known() == [statements.SEEN_ONCE]


def test_what_has_no_pattern_is_compiled() -> None:
    for _ in range(3):
        assert len(rows_of(Post.objects.filter(views__in=[1, 2]))) == 2
    assert known() == []


def test_parameters_beyond_those_of_the_conditions_are_compiled() -> None:
    if connection.features.supports_logical_xor:
        pytest.skip("XOR repeats no parameter here")
    for views in (1, 2, 1):
        assert len(rows_of(Post.objects.filter(Q(views=views) ^ Q(category=7)))) == 1
    assert known() == [None]


def test_a_compiler_of_others_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    class Compiler(compilers.SQLCompiler):
        def as_sql(self, *args: Any, **kwargs: Any) -> Any:
            return super().as_sql(*args, **kwargs)

    for _ in range(2):
        rows_of(Post.objects.filter(views=1))
    monkeypatch.setattr(connection.ops, "_cache", SimpleNamespace(SQLCompiler=Compiler))
    monkeypatch.setattr(statements, "_statement", None)
    assert len(rows_of(Post.objects.filter(views=1))) == 1


def test_a_table_that_has_another_name_by_now_is_asked_under_that(monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        rows_of(Category.objects.filter(title="a"))
    monkeypatch.setattr(Category._meta, "db_table", "elsewhere")
    with CaptureQueriesContext(connection) as asked, pytest.raises(Exception, match="elsewhere"):
        rows_of(Category.objects.filter(title="a"))
    assert "elsewhere" in asked[0]["sql"]


def test_what_watches_statements_sees_them() -> None:
    seen = []

    def watch(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        seen.append(params)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(watch):
        for views in (1, 2, 3):
            rows_of(Post.objects.filter(views=views))
    assert seen == [(1,), (2,), (3,)]


def test_a_connection_remembers_so_many_statements(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements, "KNOWN_STATEMENTS", 2)
    for number in range(1, 9):
        rows_of(Post.objects.filter(views=1)[:number])
    assert len(known()) <= 2
