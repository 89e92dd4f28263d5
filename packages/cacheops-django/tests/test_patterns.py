"""Questions that differ in their values only are walked once, and depend on what they would if each were walked."""

from typing import Any

import pytest
from alike import ALIKE, Make
from django.db.models import F, QuerySet, Sum
from testapp.models import Place, Post

from cacheops_django import plans, reads
from cacheops_django.dependencies import dependencies
from cacheops_django.fingerprints import pattern

pytestmark = pytest.mark.django_db

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
    return plans._plan(queryset, queryset.query, "default", "fetch", "fetch")[1]


@pytest.fixture(autouse=True)
def _nothing_known() -> None:
    plans.forget()


@pytest.mark.parametrize("make,first,second", ALIKE.values(), ids=ALIKE)
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


def test_a_number_that_may_not_fit_the_column_is_not_alike() -> None:
    assert pattern_of(Post.objects.filter(views=2**31)) is None
    assert pattern_of(Post.objects.filter(pk=2**63)) is None


def test_a_question_that_is_not_cached_is_walked_each_time() -> None:
    for value in (1, 2):
        queryset = Post.objects.filter(views=value).order_by("?")
        with pytest.raises(reads.Uncacheable):
            plan_of(queryset)
