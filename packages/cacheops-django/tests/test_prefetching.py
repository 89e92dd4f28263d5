"""Prefetched rows, whose querysets are made when they are asked for: what Django would have put there at once."""

import copy
import pickle
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from answers import deep, is_right, queries
from django.core import serializers
from django.db.models import Prefetch, QuerySet, prefetch_related_objects
from numbering import go_on_counting
from testapp.models import Author, Category, Club, Membership, Post, Tag, Token, TokenUse

from cacheops_core.testing import count_round_trips
from cacheops_django import caches, conf, following, plans, prefetching, scopes
from cacheops_django.prefetching import AtHand, Waiting

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _rows() -> None:
    plans.forget()
    categories = [Category.objects.create(pk=number, title=f"c{number}") for number in (1, 2, 3)]
    authors = [Author.objects.create(pk=number, name=f"a{number}") for number in (1, 2)]
    authors[0].follows.add(authors[1])
    Membership.objects.create(author=authors[0], club=Club.objects.create(pk=1, name="k"))
    tags = [Tag.objects.create(pk=number, name=f"t{number}") for number in (1, 2, 3)]
    for number in range(1, 7):
        post = Post.objects.create(
            pk=number, title=f"p{number}", category=categories[number % 2], editor=authors[0]
        )
        post.tags.set(tags[: number % 4])
        post.labels.create(text=f"l{number}")
    for number in (1, 2):
        TokenUse.objects.create(token=Token.objects.create(pk=UUID(int=number)))
    go_on_counting()


def shown(objects: Any, *paths: str) -> Any:
    """Return objects with what belongs to them along some paths."""
    return [
        (
            deep(one.pk),
            [shown(getattr(one, path.split("__")[0]).all(), *path.split("__")[1:]) for path in paths],
        )
        for one in objects
    ]


ASKS: dict[str, Callable[[], Any]] = {
    "many to many": lambda: shown(Post.objects.order_by("pk").prefetch_related("tags"), "tags"),
    "many to many from the other side": lambda: shown(Tag.objects.order_by("pk").prefetch_related("posts"), "posts"),
    "with a table of its own": lambda: shown(Author.objects.order_by("pk").prefetch_related("clubs"), "clubs"),
    "to itself": lambda: shown(Author.objects.order_by("pk").prefetch_related("follows", "followers"), "follows"),
    "reverse": lambda: shown(Category.objects.order_by("pk").prefetch_related("posts"), "posts"),
    "a tree": lambda: shown(Category.objects.order_by("pk").prefetch_related("children"), "children"),
    "by a UUID": lambda: shown(Token.objects.order_by("pk").prefetch_related("uses"), "uses"),
    "in two steps": lambda: shown(Category.objects.order_by("pk").prefetch_related("posts__tags"), "posts__tags"),
    "generic": lambda: shown(Post.objects.order_by("pk").prefetch_related("labels"), "labels"),
    "a queryset": lambda: shown(
        Post.objects.order_by("pk").prefetch_related(Prefetch("tags", Tag.objects.filter(pk=1))), "tags"
    ),
    "under a name": lambda: [
        deep(post.found) for post in Post.objects.order_by("pk").prefetch_related(Prefetch("tags", to_attr="found"))
    ],
    "one of it": lambda: [post.category.title for post in Post.objects.order_by("pk").prefetch_related("category")],
    "filtered further": lambda: [
        [tag.pk for tag in post.tags.filter(name="t1")] for post in Post.objects.order_by("pk").prefetch_related("tags")
    ],
    "a count": lambda: [post.tags.count() for post in Post.objects.order_by("pk").prefetch_related("tags")],
    "the first": lambda: [post.tags.first() for post in Post.objects.order_by("pk").prefetch_related("tags")],
    "what knows where it is from": lambda: [
        post.category is category
        for category in Category.objects.order_by("pk").prefetch_related("posts")
        for post in category.posts.all()
    ],
}  # fmt: skip


@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)
def test_what_belongs_to_objects_is_what_the_database_says(ask: Callable[[], Any]) -> None:
    for _ in range(3):
        assert is_right(ask)


def prefetched() -> Post:
    post: Post = Post.objects.prefetch_related("tags").get(pk=3)
    assert type(post._prefetched_objects_cache) is AtHand  # type: ignore[attr-defined]
    return post


def waiting(post: Any) -> list[str]:
    """Return the names of what nobody has asked for."""
    kept = post._prefetched_objects_cache
    return [name for name in kept if type(dict.get(kept, name)) is Waiting]


def test_a_queryset_is_made_when_it_is_asked_for_and_stays() -> None:
    post = prefetched()
    assert waiting(post) == ["tags"]
    assert post._prefetched_objects_cache["tags"] is post._prefetched_objects_cache["tags"]  # type: ignore[attr-defined]
    assert waiting(post) == []


def test_what_is_at_hand_asks_nobody() -> None:
    post = prefetched()
    assert (
        queries(
            lambda: [list(post.tags.all()), post.tags.count(), len(post.tags.all()), bool(post.tags.all())]
        )
        == 0
    )
    assert queries(lambda: post.tags.filter(name="t2").get()) <= 1


LOOKS: dict[str, Callable[[Any], Any]] = {
    "a name": lambda kept: list(kept["tags"]),
    "get": lambda kept: list(kept.get("tags")),
    "get of nothing": lambda kept: kept.get("posts", 5),
    "pop": lambda kept: (list(kept.pop("tags")), "tags" in kept),
    "pop of nothing": lambda kept: kept.pop("posts", 5),
    "items": lambda kept: [(name, list(found)) for name, found in kept.items()],
    "values": lambda kept: [list(found) for found in kept.values()],
    "keys": lambda kept: (list(kept), list(kept.keys()), "tags" in kept, len(kept)),
    "setdefault": lambda kept: (list(kept.setdefault("tags", 1)), kept.setdefault("more", 1)),
    "popitem": lambda kept: [list(found) for found in kept.popitem()[1:]],
    "a dictionary of it": lambda kept: [list(found) for found in dict(kept).values()],
    "unpacked": lambda kept: [list(found) for found in {**kept}.values()],
    "updated with it": lambda kept: [list(found) for found in _updated(kept).values()],
    "a union": lambda kept: [list(found) for found in (kept | {}).values()],
    "a union from the right": lambda kept: [list(found) for found in ({} | kept).values()],
    "copied": lambda kept: [list(found) for found in kept.copy().values()],
    "shallowly copied": lambda kept: [list(found) for found in copy.copy(kept).values()],
    "shown": repr,
    "pickled": lambda kept: [list(found) for found in pickle.loads(pickle.dumps(kept)).values()],
}


def _updated(kept: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    plain.update(kept)
    return plain


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_however_one_looks_one_sees_what_django_puts_there(
    look: Callable[[Any], Any], monkeypatch: Any
) -> None:
    post = prefetched()
    mine = look(post._prefetched_objects_cache)  # type: ignore[attr-defined]
    monkeypatch.setattr(prefetching, "_is_plain", lambda *args: False)
    plain = Post.objects.prefetch_related("tags").get(pk=3)
    assert type(plain._prefetched_objects_cache) is dict  # type: ignore[attr-defined]
    assert deep(mine) == deep(look(plain._prefetched_objects_cache))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "copied",
    [lambda one: pickle.loads(pickle.dumps(one)), copy.copy],
    ids=["pickled", "copied"],
)
def test_a_copy_of_an_object_has_it_at_hand(copied: Callable[[Any], Any]) -> None:
    again = copied(prefetched())
    assert queries(lambda: list(again.tags.all())) == 0
    assert [tag.pk for tag in again.tags.all()] == [1, 2, 3]


def test_a_deep_copy_of_an_object_asks_anew_as_djangos_does() -> None:
    assert [tag.pk for tag in copy.deepcopy(prefetched()).tags.order_by("pk")] == [1, 2, 3]


def test_what_has_been_changed_is_not_at_hand_any_more() -> None:
    post = prefetched()
    post.tags.remove(Tag.objects.get(pk=1))
    assert [tag.pk for tag in post.tags.order_by("pk")] == [2, 3]
    assert "tags" not in post._prefetched_objects_cache  # type: ignore[attr-defined]


def test_an_object_that_is_refreshed_has_nothing_at_hand() -> None:
    post = prefetched()
    Tag.posts.through.objects.filter(post=post, tag_id=1).delete()  # type: ignore[attr-defined]
    post.refresh_from_db()
    assert [tag.pk for tag in post.tags.all()] == [2, 3]


def test_serializers_take_what_is_at_hand() -> None:
    rows = serializers.serialize("python", list(Post.objects.order_by("pk").prefetch_related("tags")))
    assert [row["fields"]["tags"] for row in rows][:3] == [[1], [1, 2], [1, 2, 3]]


def test_an_object_that_is_in_the_list_twice_has_it_once() -> None:
    post = Post.objects.get(pk=3)
    prefetch_related_objects([post, post], "tags")
    assert [tag.pk for tag in post.tags.all()] == [1, 2, 3]
    assert prefetching.PLACE not in vars(post)


def test_equal_objects_have_it_each() -> None:
    posts = [Post.objects.get(pk=3), Post.objects.get(pk=3)]
    prefetch_related_objects(posts, "tags")
    assert queries(lambda: [list(post.tags.all()) for post in posts]) == 0


def test_what_was_prefetched_before_stays_at_hand() -> None:
    post = prefetched()
    prefetch_related_objects([post], "labels")
    assert sorted(post._prefetched_objects_cache) == ["labels", "tags"]  # type: ignore[attr-defined]
    assert queries(lambda: [list(post.tags.all()), list(post.labels.all())]) == 0


def test_a_model_without_a_profile_is_left_to_django(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conf.Settings, "profile_for", lambda self, model: None)
    post = Post.objects.prefetch_related("tags").get(pk=3)
    assert type(post._prefetched_objects_cache) is dict  # type: ignore[attr-defined]


# In one round trip


def takes(trips: int, ask: Callable[[], Any]) -> bool:
    """Tell whether a question takes so many round trips; on a cluster each of its nodes may be asked in each."""
    client = caches.current().driver.client
    nodes = len(client.get_primaries()) if hasattr(client, "get_primaries") else 1
    with count_round_trips(client) as counted:
        ask()
    return trips <= counted.count <= trips * nodes


def posts_with_all() -> list[Any]:
    return shown(Post.objects.order_by("pk").prefetch_related("tags", "labels"), "tags", "labels")


def test_rows_and_what_belongs_to_them_take_one_round_trip_once_it_is_known_what_follows() -> None:
    posts_with_all()
    for expected in (3, 1, 1):
        assert takes(expected, posts_with_all)


def test_what_belongs_to_what_belongs_to_rows_comes_along() -> None:
    def ask() -> Any:
        return shown(Category.objects.order_by("pk").prefetch_related("posts__tags"), "posts__tags")

    for _ in range(2):
        ask()
    assert takes(1, ask)
    assert is_right(ask)


def test_what_has_been_brought_along_is_for_one_read_only() -> None:
    for _ in range(3):
        posts_with_all()
    Tag.objects.filter(pk=1).get().delete()
    assert is_right(posts_with_all)
    Post.objects.get(pk=2).tags.clear()
    assert is_right(posts_with_all)
    assert is_right(posts_with_all)


def test_what_is_not_there_any_more_is_asked_for_by_itself() -> None:
    for _ in range(3):
        posts_with_all()
    tag = Tag.objects.get(pk=1)
    tag.name = "new"
    tag.save()
    assert queries(posts_with_all) == 1
    assert is_right(posts_with_all)


def test_rows_that_were_not_there_bring_nothing_along() -> None:
    for _ in range(3):
        posts_with_all()
    post = Post.objects.get(pk=3)
    post.title = "new"
    post.save()
    # The tags are in the cache, and asked for after the rows that the database had.
    assert queries(posts_with_all) == 1
    assert is_right(posts_with_all)


def test_other_lookups_of_the_same_rows_are_another_read() -> None:
    for _ in range(3):
        posts_with_all()
    assert takes(1, lambda: list(Post.objects.order_by("pk")))
    assert is_right(lambda: shown(Post.objects.order_by("pk").prefetch_related("tags"), "tags"))


def test_what_follows_is_not_remembered_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "MOST_KNOWN", 3)
    for number in range(1, 7):
        for _ in range(2):
            list(Post.objects.filter(pk=number).prefetch_related("tags"))
    assert len(following._known) <= 3


def test_rows_by_their_keys_take_one_round_trip() -> None:
    Post.objects.in_bulk([1, 2, 3, 4])
    assert takes(1, lambda: Post.objects.in_bulk([1, 2, 3, 4]))


def test_what_a_write_is_decided_on_is_not_taken_from_the_cache() -> None:
    posts: QuerySet[Post, Post] = Post.objects.order_by("pk").prefetch_related("tags")
    list(posts.all())
    with scopes.deciding():
        assert queries(lambda: list(posts.all())) == 2
