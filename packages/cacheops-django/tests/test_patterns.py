"""Questions that differ in their values only are walked once, and depend on what they would if each were walked."""

from typing import Any

import pytest
from alike import ALIKE, Make
from django.db.models import Exists, F, FilteredRelation, Q, QuerySet, Sum, Window
from django.db.models.functions import RowNumber
from testapp.models import Category, Place, Post, Tag

from cacheops_django import plans, reads
from cacheops_django.dependencies import dependencies
from cacheops_django.fingerprints import pattern

pytestmark = pytest.mark.django_db

INSIDE: dict[str, tuple[Make, Any, Any]] = {
    "a value of other rows": (
        lambda v: Post.objects.filter(views=v).annotate(n=Exists(Tag.objects.filter(pk=3))), 1, 2
    ),
    "an order by rows of the same table": (
        lambda v: Post.objects.filter(category=v).order_by(Exists(Post.objects.filter(views=3))), 1, 2
    ),
    "a join of other rows": (
        lambda v: Post.objects.annotate(
            seen=FilteredRelation("tags", condition=Q(Exists(Tag.objects.filter(pk=3))))
        ).filter(seen__pk=v), 1, 2
    ),
}  # fmt: skip
"""Questions with others inside of them, whose values are the same."""

NOT_ALIKE: dict[str, tuple[Make, Any, Any]] = {
    "another column's value": (lambda v: Place.objects.filter(stars=v), 1, F("id")),
    "nothing": (lambda v: Post.objects.filter(editor=v), 1, None),
    "a list": (lambda v: Post.objects.filter(editor__in=v), [1], [2, 3]),
    "a flag": (lambda v: Post.objects.filter(visible=v), True, False),
    "another column": (lambda v: Post.objects.filter(**{v: 1}), "views", "category"),
    "another comparison": (lambda v: Post.objects.filter(**{v: 1}), "views__lt", "views__gt"),
    "another order": (lambda v: Post.objects.filter(views=1).order_by(v), "views", "title"),
    "another sum": (lambda v: Post.objects.annotate(n=Sum(v)).filter(title="a"), "views", "rating"),
    "rows by number": (
        lambda v: Post.objects.filter(views=v).annotate(n=Window(RowNumber())).filter(n=1), 1, 2
    ),
    "other rows inside": (lambda v: Post.objects.filter(tags__in=Tag.objects.filter(pk=v)), 1, 2),
    "other rows that exist": (lambda v: Post.objects.filter(Exists(Tag.objects.filter(pk=v)), views=1), 1, 2),
    "none of other rows": (lambda v: Category.objects.filter(pk=1).exclude(posts__views=v), 1, 2),
    "a value of other rows": (
        lambda v: Post.objects.filter(views=1).annotate(n=Exists(Tag.objects.filter(pk=v))), 1, 2
    ),
    "an order by other rows": (
        lambda v: Post.objects.filter(views=1).order_by(Exists(Tag.objects.filter(pk=v))), 1, 2
    ),
    "a join of other rows": (
        lambda v: Post.objects.annotate(
            seen=FilteredRelation("tags", condition=Q(tags__pk=v))
        ).filter(seen__name="a"), 1, 2
    ),
    "a union with other rows": (lambda v: Tag.objects.filter(pk=1).union(Tag.objects.filter(pk=v)), 1, 2),
    "a union of other rows": (lambda v: Tag.objects.filter(pk=v).union(Tag.objects.filter(pk=1)), 1, 2),
    "other rows of it": (lambda v: Post.objects.filter(views=1)[:v], 1, 2),
}  # fmt: skip


def pattern_of(queryset: QuerySet[Any, Any]) -> bytes | None:
    return pattern(queryset.query, "default", "fetch", queryset.model, queryset._iterable_class)


def plan_of(queryset: QuerySet[Any, Any]) -> Any:
    return plans._plan(queryset, queryset.query, "default", "fetch", "fetch")[1]


@pytest.fixture(autouse=True)
def _nothing_known() -> None:
    plans.forget()


@pytest.mark.parametrize("make,first,second", [*ALIKE.values(), *INSIDE.values()], ids=[*ALIKE, *INSIDE])
def test_what_is_alike_depends_on_what_it_would_by_itself(make: Make, first: Any, second: Any) -> None:
    assert pattern_of(make(first)) == pattern_of(make(second)) is not None
    plan_of(make(first))
    assert plan_of(make(second)).found == dependencies(make(second).query, "default")


def test_what_is_alike_is_not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    plan_of(Post.objects.filter(category=1))
    monkeypatch.setattr(plans, "examine", None)
    assert plan_of(Post.objects.filter(category=2)) is not None


@pytest.mark.parametrize("make,first,second", NOT_ALIKE.values(), ids=NOT_ALIKE)
def test_what_may_become_another_statement_is_not_alike(make: Make, first: Any, second: Any) -> None:
    one, other = pattern_of(make(first)), pattern_of(make(second))
    assert one != other or one is other is None


@pytest.mark.parametrize("make,first,second", NOT_ALIKE.values(), ids=NOT_ALIKE)
def test_what_is_not_alike_depends_on_what_it_would_by_itself(make: Make, first: Any, second: Any) -> None:
    for value in (first, second, first):
        assert plan_of(make(value)).found == dependencies(make(value).query, "default")


def test_a_number_that_may_not_fit_the_column_is_not_alike() -> None:
    assert pattern_of(Post.objects.filter(views=2**31)) is None
    assert pattern_of(Post.objects.filter(pk=2**63)) is None


def test_a_question_that_is_not_cached_is_walked_each_time() -> None:
    for value in (1, 2):
        queryset = Post.objects.filter(views=value).order_by("?")
        with pytest.raises(reads.Uncacheable):
            plan_of(queryset)
