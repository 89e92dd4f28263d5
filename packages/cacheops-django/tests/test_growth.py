"""What grows with what is cached, and what does not; the core's part of it stands in the integration tests."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from answers import is_cached, keep
from testapp.models import Author, Category, Post, Tag

from cacheops_core.testing import Server, count_round_trips
from cacheops_django import caches
from cacheops_django.invalidation import invalidate_model, invalidate_obj

pytestmark = pytest.mark.django_db


def tags(number: int) -> Callable[[], list[Tag]]:
    return lambda: list(Tag.objects.filter(name="a", pk__lt=number))


@pytest.mark.parametrize(
    "invalidate",
    [lambda: invalidate_model(Tag), lambda: invalidate_obj(Tag(pk=1, name="a")), Tag(name="a").save],
    ids=["invalidate_model", "invalidate_obj", "save"],
)
def test_an_invalidation_asks_for_the_same_however_much_is_cached(invalidate: Callable[[], object]) -> None:
    asked = []
    invalidate()  # so that the server knows the script
    for cached in (3, 100):
        for number in range(cached):
            keep(tags(number))
        with count_round_trips(caches.current().driver.client) as trips:
            invalidate()
        asked.append(trips.sent)
        assert not any(is_cached(tags(number)) for number in range(cached))
    assert asked[0] == asked[1]


DAYS = [datetime(2024, 1, day, tzinfo=UTC) for day in range(1, 9)]


def test_five_lists_of_eight_have_a_bounded_number_of_keys(cache_server: Server) -> None:
    category, editor = Category.objects.create(title="a"), Author.objects.create(name="a")
    post = Post.objects.create(title="p", views=3, category=category, editor=editor, created=DAYS[0])
    keys = {"pk": post.pk, "category": category.pk, "editor": editor.pk}
    lists: dict[str, Any] = {name: range(key, key + 8) for name, key in keys.items()}
    lists |= {"views": range(8), "created": DAYS}

    def count() -> int:
        return Post.objects.filter(**{f"{name}__in": values for name, values in lists.items()}).count()

    with cache_server.client() as client:
        before = client.dbsize()
        keep(count)
        assert client.dbsize() - before <= 64 + 3  # its stamps, the entry, the generation, the registry
    assert count() == 1
    post.views = 9
    post.save()
    assert count() == 0
