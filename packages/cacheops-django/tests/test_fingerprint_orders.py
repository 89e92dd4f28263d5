"""Orders by what is cut out of moments are other orders in other time zones, and their keys tell that."""

import zoneinfo
from typing import Any
from unittest import mock

import pytest
from django.db.models import Count
from django.utils import timezone
from testapp.models import Category, Event, Post

from cacheops_django.fingerprint_orders import _is_local
from cacheops_django.fingerprint_query import encode_query

ORDERS: dict[str, tuple[Any, bool]] = {
    "a column": (Post.objects.order_by("-created", "pk"), False),
    "a key": (Post.objects.order_by("category_id", "category__pk"), False),
    "another table's column": (Post.objects.order_by("category__title"), False),
    "another table": (Post.objects.order_by("category"), False),
    "a part of a moment": (Post.objects.order_by("-created__hour"), True),
    "a part of another table's": (Category.objects.order_by("posts__created__date"), True),
    "an annotation": (Post.objects.annotate(n=Count("tags")).order_by("n"), False),
    "the model's own": (Event.objects.all(), False),
    "none": (Event.objects.order_by(), False),
    "at random": (Post.objects.order_by("?"), False),
}


def form(queryset: Any, zone: str) -> Any:
    with timezone.override(zoneinfo.ZoneInfo(zone)):
        return encode_query(queryset.query)


@pytest.mark.parametrize("queryset,is_local", ORDERS.values(), ids=ORDERS)
def test_only_an_order_that_may_be_another_one_tells_its_zone(queryset: Any, is_local: bool) -> None:
    assert (form(queryset, "Asia/Tokyo") != form(queryset, "UTC")) == is_local


def test_the_order_of_a_model_counts_as_its_own_and_where_others_are_ordered_by_it() -> None:
    with mock.patch.object(Category._meta, "ordering", ("posts__created__hour",)):
        _is_local.cache_clear()
        assert form(Category.objects.all(), "Asia/Tokyo") != form(Category.objects.all(), "UTC")
        assert form(Post.objects.order_by("category"), "Asia/Tokyo") != form(
            Post.objects.order_by("category"), "UTC"
        )
        assert form(Post.objects.all(), "Asia/Tokyo") == form(Post.objects.all(), "UTC")
    _is_local.cache_clear()
