"""Questions that differ in their values only are walked once, and depend on what they would if each were walked."""

import datetime
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db.models import Count, F, Q, QuerySet, Sum, Window
from django.db.models.functions import RowNumber
from testapp.models import Event, Everything, Membership, Pizzeria, Place, Post, StarredPlace, TokenUse

from cacheops_django import reads
from cacheops_django.dependencies import dependencies
from cacheops_django.fingerprints import pattern

pytestmark = pytest.mark.django_db

Make = Callable[[Any], QuerySet[Any, Any]]

DAY = datetime.date(2026, 1, 1)

ALIKE: dict[str, tuple[Make, Any, Any]] = {
    "a primary key": (lambda v: Post.objects.filter(pk=v), 1, 2),
    "a key beyond four bytes": (lambda v: Post.objects.filter(pk=v), 1, 2**40),
    "a foreign key": (lambda v: Post.objects.filter(category=v), 1, 2),
    "a text": (lambda v: Post.objects.filter(title=v), "a", "%s 'b'"),
    "a part of a text": (lambda v: Post.objects.filter(title__icontains=v, category=3), "a", "%"),
    "a UUID": (lambda v: TokenUse.objects.filter(token=v), uuid.UUID(int=1), uuid.UUID(int=2)),
    "a number with places": (lambda v: Everything.objects.filter(price=v), Decimal("1.5"), Decimal("1.505")),
    "a date": (lambda v: Event.objects.filter(on=v), DAY, DAY + datetime.timedelta(1)),
    "a range": (lambda v: Post.objects.filter(views__gt=v, views__lte=v + 9, category=v), 1, 2),
    "a disjunction": (lambda v: Post.objects.filter(Q(category=v) | Q(editor=v, views=1)), 1, 2),
    "a contradiction": (lambda v: Post.objects.filter(Q(category=v) & Q(category=2)), 2, 3),
    "a negation": (lambda v: Post.objects.exclude(category=v), 1, 2),
    "a join": (lambda v: Post.objects.filter(category__title=v, editor=1), "a", "b"),
    "an outer join": (lambda v: Post.objects.filter(Q(editor__name=v) | Q(views=1)), "a", "b"),
    "a row to be joined": (lambda v: Post.objects.filter(category=v).select_related("editor"), 1, 2),
    "a row of its parents' too": (lambda v: Pizzeria.objects.filter(stars=v), 1, 2),
    "a row of a proxy": (lambda v: StarredPlace.objects.filter(name=v), "a", "b"),
    "an order by another table": (lambda v: Post.objects.filter(views=v).order_by("category__title"), 1, 2),
    "a sum per row": (lambda v: Post.objects.filter(views=v).annotate(n=Count("tags")), 1, 2),
    "values of some columns": (lambda v: Post.objects.filter(views=v).values_list("title"), 1, 2),
    "a window": (lambda v: Post.objects.filter(views=v).annotate(n=Window(RowNumber())), 1, 2),
    "a table joined to itself": (lambda v: Membership.objects.filter(club__members=v, author=v), 1, 2),
}

NOT_ALIKE: dict[str, tuple[Make, Any, Any]] = {
    "another column's value": (lambda v: Place.objects.filter(stars=v), 1, F("id")),
    "nothing": (lambda v: Post.objects.filter(editor=v), 1, None),
    "a list": (lambda v: Post.objects.filter(editor__in=v), [1], [2, 3]),
    "a flag": (lambda v: Post.objects.filter(visible=v), True, False),
    "another column": (lambda v: Post.objects.filter(**{v: 1}), "views", "category"),
    "another comparison": (lambda v: Post.objects.filter(**{v: 1}), "views__lt", "views__gt"),
    "another order": (lambda v: Post.objects.filter(views=1).order_by(v), "views", "title"),
    "another sum": (lambda v: Post.objects.annotate(n=Sum(v)).filter(title="a"), "views", "rating"),
    "other rows of it": (lambda v: Post.objects.filter(views=1)[:v], 1, 2),
}


def pattern_of(queryset: QuerySet[Any, Any]) -> bytes | None:
    return pattern(queryset.query, "default", "fetch", queryset.model, queryset._iterable_class)


def plan_of(queryset: QuerySet[Any, Any]) -> Any:
    return reads._plan(queryset, queryset.query, "default", "fetch", "fetch")[1]


@pytest.fixture(autouse=True)
def _nothing_known() -> None:
    reads.forget_plans()


@pytest.mark.parametrize("make,first,second", ALIKE.values(), ids=ALIKE)
def test_what_is_alike_depends_on_what_it_would_by_itself(make: Make, first: Any, second: Any) -> None:
    assert pattern_of(make(first)) == pattern_of(make(second)) is not None
    plan_of(make(first))
    assert plan_of(make(second)).found == dependencies(make(second).query, "default")


def test_what_is_alike_is_not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    plan_of(Post.objects.filter(category=1))
    monkeypatch.setattr(reads, "examine", None)
    assert plan_of(Post.objects.filter(category=2)) is not None


@pytest.mark.parametrize("make,first,second", NOT_ALIKE.values(), ids=NOT_ALIKE)
def test_what_may_become_another_statement_is_not_alike(make: Make, first: Any, second: Any) -> None:
    one, other = pattern_of(make(first)), pattern_of(make(second))
    assert one != other or one is other is None


def test_a_number_that_may_not_fit_the_column_is_not_alike() -> None:
    assert pattern_of(Post.objects.filter(views=2**31)) is None
    assert pattern_of(Post.objects.filter(pk=2**63)) is None


def test_a_question_that_is_not_cached_is_walked_each_time() -> None:
    for value in (1, 2):
        queryset = Post.objects.filter(views=value).order_by("?")
        with pytest.raises(reads.Uncacheable):
            plan_of(queryset)
