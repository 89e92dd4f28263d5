"""Every way to write: what depends on the rows, as they were and as they are, is dropped, and the rest stays."""

import uuid
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from answers import Ask, is_cached, is_right, keep
from django.core import serializers
from django.core.management import call_command
from django.db import DatabaseError, IntegrityError, connection, models, transaction
from django.db.models import Case, Exists, F, OuterRef, QuerySet, Subquery, Value, When
from django.db.models.expressions import RawSQL
from django.db.models.functions import Concat, Floor, Random
from django.db.models.signals import post_delete, post_save, pre_save
from django.test import override_settings
from django.test.utils import CaptureQueriesContext, isolate_apps
from numbering import go_on_counting
from testapp.models import (
    Author,
    Box,
    Category,
    City,
    Club,
    Label,
    Membership,
    Pizzeria,
    Place,
    Post,
    Restaurant,
    Seat,
    StarredPlace,
    Tag,
    Token,
    TokenUse,
)

from cacheops_core.testing import Server, count_round_trips
from cacheops_django import caches, scopes
from cacheops_django.invalidation import invalidate_obj

pytestmark = pytest.mark.django_db

Rows = QuerySet[Any, Any]


@pytest.fixture(autouse=True)
@transaction.atomic  # or each row would be a transaction, with fences of its own
def _rows() -> None:
    """Make three rows of each kind, so that there is one that matters, one that changes and one that does not."""
    for number in (1, 2, 3):
        category = Category.objects.create(pk=number, title=f"c{number}")
        author = Author.objects.create(pk=number, name=f"a{number}")
        post = Post.objects.create(
            pk=number, title=f"p{number}", category=category, editor=author, views=number
        )
        tag = Tag.objects.create(pk=number, name=f"t{number}")
        post.tags.add(tag)
        Label.objects.create(pk=number, text=f"l{number}", target=post)
        club = Club.objects.create(pk=number, name=f"k{number}")
        Membership.objects.create(pk=number, author=author, club=club)
        city = City.rows.create(pk=number, name=f"y{number}")
        Pizzeria.objects.create(pk=number, name=f"r{number}", stars=number, city=city, ovens=number)
        token = Token.objects.create(pk=uuid.UUID(int=number), name=f"u{number}")
        TokenUse.objects.create(pk=number, token=token, count=number)
        Box.objects.create(pk=number, width=number, height=1)
        Seat.objects.create(hall=number, number=1)
    go_on_counting()


def post(key: int) -> Post:
    return Post.objects.nocache().get(pk=key)


def changed(row: models.Model, **values: Any) -> models.Model:
    """Return the row with other values, not saved yet."""
    for name, value in values.items():
        setattr(row, name, value)
    return row


def of(rows: Rows) -> Ask:
    return lambda: list(rows.all())


def posts_of(category: int) -> Ask:
    return of(Post.objects.filter(category=category))


def posts_by(editor: int | None) -> Ask:
    return of(Post.objects.filter(editor=editor))


def tags_of(key: int) -> Ask:
    return of(Post(pk=key).tags.all())


def tagged(tag: int) -> Ask:
    return of(Post.tags.through.objects.filter(tag=tag))


def members_of(club: int) -> Ask:
    return of(Membership.objects.filter(club=club))


def labels_of(key: int) -> Ask:
    return of(Label.objects.filter(pk=key))


def places_with(stars: int) -> Ask:
    return of(Place.objects.filter(stars=stars))


def restaurants_in(city: int | None) -> Ask:
    return of(Restaurant.objects.filter(city=city).values("cuisine", "city"))


def pizzerias_with(ovens: int) -> Ask:
    return of(Pizzeria.objects.filter(ovens=ovens).values("ovens"))


def uses_of(number: int) -> Ask:
    return of(TokenUse.objects.filter(token=uuid.UUID(int=number)))


def boxes_of(width: int) -> Ask:
    return of(Box.objects.filter(width=width))


def seats_in(hall: int) -> Ask:
    return of(Seat.objects.filter(hall=hall))


def new_post(category: int, **values: Any) -> Post:
    return Post(title="new", category_id=category, **values)


def load_fixture() -> None:
    text = serializers.serialize("json", [changed(post(1), category_id=2)])
    for found in serializers.deserialize("json", text):
        found.save()


def has_targets() -> dict[str, Any]:
    return {"unique_fields": ["pk"]} if connection.features.supports_update_conflicts_with_target else {}


def clear(manager: Any) -> None:
    manager.clear()


def delete(row: models.Model) -> None:
    row.delete()


Write = Callable[[], Any]
GRANULAR: dict[str, tuple[Write, list[Ask], list[Ask]]] = {
    "save moves a row": (
        lambda: changed(post(1), category_id=2).save(),
        [posts_of(1), posts_of(2)], [posts_of(3), tags_of(1)],
    ),
    "save of some fields": (
        lambda: changed(post(1), category_id=2).save(update_fields=["category"]),
        [posts_of(1), posts_of(2)], [posts_of(3)],
    ),
    "save of a field that is not asked by": (
        lambda: changed(post(1), title="x").save(update_fields=["title"]), [posts_of(1)], [posts_of(2)],
    ),
    "save of a copy that holds a part": (
        lambda: changed(Post.objects.nocache().only("title").get(pk=1), title="x").save(),
        [posts_of(1)], [posts_of(2)],
    ),
    "save of a new row": (lambda: new_post(1).save(), [posts_of(1)], [posts_of(2)]),
    "save under the key of a row": (
        lambda: new_post(2, pk=1).save(), [posts_of(1), posts_of(2)], [posts_of(3)],
    ),
    "forced save": (lambda: new_post(1, pk=9).save(force_insert=True), [posts_of(1)], [posts_of(2)]),
    "create": (lambda: Post.objects.create(title="new", category_id=1), [posts_of(1)], [posts_of(2)]),
    "create with an expression": (
        lambda: Category.objects.create(title=Concat(Value("a"), Value("b")), parent_id=1),
        [of(Category.objects.filter(parent=1))], [of(Category.objects.filter(parent=2))],
    ),
    "create with a subquery": (
        lambda: TokenUse.objects.create(
            token_id=uuid.UUID(int=1), count=Subquery(Post.objects.filter(pk=3).values("views"))
        ),
        [uses_of(1), of(TokenUse.objects.filter(count=3))], [posts_of(3)],
    ),
    "delete": (lambda: delete(post(1)), [posts_of(1), tagged(1)], [posts_of(2)]),
    "a fast delete": (
        lambda: Membership.objects.filter(club=1).delete(), [members_of(1)], [members_of(2)],
    ),
    "a slow delete": (lambda: Post.objects.filter(category=1).delete(), [posts_of(1)], [posts_of(2)]),
    "delete over a join": (
        lambda: Post.objects.filter(category__title="c1").delete(), [posts_of(1)], [posts_of(2)],
    ),
    "a fast delete over a join": (
        lambda: Membership.objects.filter(author__name="a1").delete(), [members_of(1)], [uses_of(1)],
    ),
    "a raw delete": (
        lambda: TokenUse.objects.filter(token=uuid.UUID(int=1))._raw_delete("default"), [uses_of(1)], [uses_of(2)],
    ),
    "bulk_create": (lambda: Post.objects.bulk_create([new_post(1), new_post(1)]), [posts_of(1)], [posts_of(2)]),
    "bulk_create in batches": (
        lambda: Post.objects.bulk_create([new_post(1), new_post(2)], batch_size=1),
        [posts_of(1), posts_of(2)], [posts_of(3)],
    ),
    "bulk_create with conflicts ignored": (
        lambda: Post.objects.bulk_create([new_post(1, pk=3)], ignore_conflicts=True), [posts_of(1)], [posts_of(2)],
    ),
    "bulk_create with conflicts updated": (
        lambda: Post.objects.bulk_create(
            [new_post(2, pk=1)], update_conflicts=True, update_fields=["category"], **has_targets()
        ),
        [posts_of(1), posts_of(2)], [tags_of(1)],
    ),
    "bulk_update": (
        lambda: Post.objects.bulk_update([changed(post(1), category_id=2)], ["category"]),
        [posts_of(1), posts_of(2)], [posts_of(3)],
    ),
    "update_or_create of a row": (
        lambda: Post.objects.update_or_create(pk=1, defaults={"category_id": 2}),
        [posts_of(1), posts_of(2)], [posts_of(3)],
    ),
    "update_or_create of none": (
        lambda: Post.objects.update_or_create(pk=9, defaults={"title": "new", "category_id": 1}),
        [posts_of(1)], [posts_of(2)],
    ),
    "get_or_create of none": (
        lambda: Post.objects.get_or_create(title="new", category_id=1), [posts_of(1)], [posts_of(2)],
    ),
    "get_or_create of a row": (
        lambda: Post.objects.get_or_create(title="p1", category_id=1), [], [posts_of(1), posts_of(2)],
    ),
    "many to many add": (lambda: post(1).tags.add(2), [tags_of(1), tagged(2)], [tags_of(2), tagged(3)]),
    "many to many remove": (lambda: post(1).tags.remove(1), [tags_of(1), tagged(1)], [tags_of(2)]),
    "many to many set": (
        lambda: post(1).tags.set([2]), [tags_of(1), tagged(1), tagged(2)], [tags_of(2), tagged(3)],
    ),
    "many to many clear": (lambda: clear(post(1).tags), [tags_of(1), tagged(1)], [tags_of(2)]),
    "many to many create": (lambda: post(1).tags.create(name="x"), [tags_of(1)], [tagged(2)]),
    "many to many add, backwards": (
        lambda: Tag.objects.get(pk=1).posts.add(2), [tags_of(2), tagged(1)], [tagged(3)],
    ),
    "many to many remove, backwards": (lambda: Tag.objects.get(pk=1).posts.remove(1), [tags_of(1)], [tags_of(2)]),
    "many to many set, backwards": (
        lambda: Tag.objects.get(pk=1).posts.set([2]), [tags_of(1), tags_of(2)], [tags_of(3)],
    ),
    "many to many clear, backwards": (lambda: clear(Tag.objects.get(pk=1).posts), [tags_of(1)], [tags_of(2)]),
    "many to many to itself": (
        lambda: Author.objects.get(pk=1).follows.add(2),
        [of(Author(pk=1).follows.all()), of(Author(pk=2).followers.all())], [of(Author(pk=3).follows.all())],
    ),
    "rows of an automatic table": (
        lambda: Post.tags.through.objects.filter(post=1).delete(), [tags_of(1), tagged(1)], [tags_of(2)],
    ),
    "many to many through a model": (
        lambda: Author.objects.get(pk=1).clubs.add(2), [members_of(2)], [members_of(3)],
    ),
    "clear through a model": (lambda: clear(Author.objects.get(pk=1).clubs), [members_of(1)], [members_of(2)]),
    "reverse key add": (
        lambda: Category.objects.get(pk=2).posts.add(post(1)), [posts_of(1), posts_of(2)], [posts_of(3)],
    ),
    "reverse key add one by one": (
        lambda: Category.objects.get(pk=2).posts.add(post(1), bulk=False), [posts_of(1), posts_of(2)], [posts_of(3)],
    ),
    "reverse key remove": (
        lambda: Author.objects.get(pk=1).edited.remove(post(1)), [posts_by(1), posts_by(None)], [posts_by(2)],
    ),
    "reverse key set": (
        lambda: Author.objects.get(pk=1).edited.set([post(2)]),
        [posts_by(1), posts_by(2), posts_by(None)], [posts_by(3)],
    ),
    "reverse key clear": (
        lambda: clear(Author.objects.get(pk=1).edited), [posts_by(1), posts_by(None)], [posts_by(2)],
    ),
    "reverse key create": (lambda: Category.objects.get(pk=1).posts.create(title="x"), [posts_of(1)], [posts_of(2)]),
    "generic relation add": (
        lambda: post(1).labels.add(Label.objects.get(pk=2)), [labels_of(2)], [labels_of(3)],
    ),
    "generic relation remove": (
        lambda: post(1).labels.remove(Label.objects.get(pk=1)), [labels_of(1)], [labels_of(2)],
    ),
    "generic relation set": (
        lambda: post(1).labels.set([Label.objects.get(pk=2)]), [labels_of(1), labels_of(2)], [labels_of(3)],
    ),
    "generic relation clear": (lambda: clear(post(1).labels), [labels_of(1)], [labels_of(2)]),
    "generic relation create": (
        lambda: post(1).labels.create(text="x"), [of(Label.objects.filter(text="x"))], [labels_of(2)],
    ),
    "deleting what others have a generic key to": (lambda: delete(post(1)), [labels_of(1)], [labels_of(2)]),
    "cascade": (
        lambda: Category.objects.get(pk=1).delete(), [posts_of(1), tags_of(1)], [posts_of(2), tags_of(2)],
    ),
    "cascade to rows that delete fast": (
        lambda: Token.objects.get(pk=uuid.UUID(int=1)).delete(), [uses_of(1)], [uses_of(2)],
    ),
    "set null": (lambda: delete(Author.objects.nocache().get(pk=1)), [posts_by(1), posts_by(None)], [posts_by(2)]),
    "set null for many": (
        lambda: Author.objects.filter(pk__in=[1, 2]).delete(),
        [posts_by(1), posts_by(2), posts_by(None)], [posts_by(3)],
    ),
    "a grandchild's own column": (
        lambda: changed(Pizzeria.objects.nocache().get(pk=1), ovens=2).save(),
        [pizzerias_with(1), pizzerias_with(2)], [pizzerias_with(3), places_with(3), restaurants_in(3)],
    ),
    "a grandchild's inherited column": (
        lambda: changed(Pizzeria.objects.nocache().get(pk=1), stars=2).save(),
        [places_with(1), places_with(2)], [places_with(3)],
    ),
    "a child's row, as the child": (
        lambda: changed(Restaurant.objects.nocache().get(pk=1), city_id=2).save(),
        [restaurants_in(1), restaurants_in(2)], [restaurants_in(3), pizzerias_with(1)],
    ),
    "a child's row, as the parent": (
        lambda: changed(Place.objects.nocache().get(pk=1), stars=2).save(),
        [places_with(1), of(Pizzeria.objects.filter(stars=2))],
        [places_with(3), of(Restaurant.objects.filter(stars=3))],
    ),
    "a new grandchild": (
        lambda: Pizzeria.objects.create(name="x", stars=1, city_id=1, ovens=1),
        [places_with(1), restaurants_in(1), pizzerias_with(1)],
        [places_with(2), restaurants_in(2), pizzerias_with(2)],
    ),
    "deleting a grandchild": (
        lambda: Pizzeria.objects.get(pk=1).delete(),
        [places_with(1), restaurants_in(1), pizzerias_with(1)],
        [places_with(2), restaurants_in(2), pizzerias_with(2)],
    ),
    "deleting a parent": (
        lambda: Place.objects.get(pk=1).delete(),
        [places_with(1), restaurants_in(1), pizzerias_with(1)],
        [places_with(2), restaurants_in(2), pizzerias_with(2)],
    ),
    "deleting a child, keeping its parent": (
        lambda: Restaurant.objects.get(pk=1).delete(keep_parents=True), [restaurants_in(1)], [places_with(1)],
    ),
    "a proxy": (
        lambda: changed(StarredPlace.objects.nocache().get(pk=1), stars=2).save(),
        [places_with(1), of(StarredPlace.objects.filter(stars=2))], [places_with(3)],
    ),
    "adding to a column": (
        lambda: changed(Box.objects.nocache().get(pk=1), width=F("width") + 1).save(),
        [boxes_of(1), boxes_of(2)], [boxes_of(3)],
    ),
    "adding to a column that is not asked by": (
        lambda: changed(post(1), views=F("views") + 1).save(), [posts_of(1)], [posts_of(2)],
    ),
    "invalidated_update": (
        lambda: Post.objects.filter(pk=1).invalidated_update(category=2),
        [posts_of(1), posts_of(2)], [posts_of(3)],
    ),
    "invalidated_update by an instance": (
        lambda: Post.objects.filter(pk=1).invalidated_update(category=Category(pk=2)),
        [posts_of(1), posts_of(2)], [posts_of(3)],
    ),
    "invalidated_update by an expression": (
        lambda: Post.objects.filter(views=1).invalidated_update(category=F("category") + 1),
        [posts_of(1), posts_of(2)], [posts_of(3)],
    ),
    "invalidated_update by cases": (
        lambda: Post.objects.filter(pk__in=[1]).invalidated_update(category=Case(When(pk=1, then=2), default=3)),
        [posts_of(1), posts_of(2)], [posts_of(3)],
    ),
    "invalidated_update of no row": (
        lambda: Post.objects.filter(pk=99).invalidated_update(category=1), [], [posts_of(1), posts_of(2)],
    ),
    "invalidated_update over a join": (
        lambda: Post.objects.filter(category__title="c1").invalidated_update(category=2),
        [posts_of(1), posts_of(2)], [tags_of(1)],
    ),
    "invalidated_update of a parent's column": (
        lambda: Restaurant.objects.filter(pk=1).invalidated_update(stars=2),
        [places_with(1), places_with(2)], [places_with(3)],
    ),
    "invalidated_update of a child and its parent": (
        lambda: Restaurant.objects.filter(pk=1).invalidated_update(stars=2, city=2),
        [places_with(1), places_with(2), restaurants_in(1), restaurants_in(2)], [pizzerias_with(1)],
    ),
    "invalidated_update of a primary key": (
        lambda: Tag.objects.create(pk=50, name="x") and Tag.objects.filter(pk=50).invalidated_update(id=51),
        [of(Tag.objects.filter(pk=51))], [of(Tag.objects.filter(pk=1))],
    ),
    "a row known by two columns": (
        lambda: changed(Seat.objects.nocache().get(pk=(1, 1)), taken=True).save(), [seats_in(1)], [seats_in(2)],
    ),
    "deleting a row known by two columns": (
        lambda: Seat.objects.get(pk=(1, 1)).delete(), [seats_in(1)], [seats_in(2)],
    ),
    "a column that the database computes": (
        lambda: changed(Box.objects.nocache().get(pk=1), height=2).save(),
        [boxes_of(1), of(Box.objects.filter(area=2))], [boxes_of(2)],
    ),
    "a row known by a UUID": (
        lambda: TokenUse.objects.create(token_id=str(uuid.UUID(int=1))), [uses_of(1)], [uses_of(2)],
    ),
    "a model without objects": (
        lambda: changed(City.rows.nocache().get(pk=1), name="x").save(),
        [of(City.rows.filter(pk=1))], [of(City.rows.filter(pk=2))],
    ),
    "a raw save": (load_fixture, [posts_of(1), posts_of(2)], [posts_of(3)]),
    "an id where an instance is expected": (
        lambda: Post(title="x", category_id="1").save(), [posts_of(1)], [posts_of(2)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("write, matters, rest", GRANULAR.values(), ids=GRANULAR)
def test_a_write_drops_what_its_rows_matter_to_and_nothing_else(
    write: Write, matters: list[Ask], rest: list[Ask]
) -> None:
    for ask in [*matters, *rest]:
        keep(ask)
    write()
    assert [is_cached(ask) for ask in rest] == [True] * len(rest)
    assert [is_cached(ask) for ask in matters] == [False] * len(matters)
    assert all(map(is_right, [*matters, *rest]))


@pytest.mark.parametrize("write, matters, rest", GRANULAR.values(), ids=GRANULAR)
def test_a_write_drops_what_it_changes_whatever_the_process_knows_of_the_table(
    write: Write, matters: list[Ask], rest: list[Ask]
) -> None:
    for model in (Post, Tag, Category, Author, Box, Place, Restaurant, Pizzeria, TokenUse, Membership, Label):
        # The first write of a table teaches the process which columns queries ask by: none so far.
        scopes_of = model._base_manager.filter(pk=model._base_manager.values("pk")[:1])
        keep(lambda rows=scopes_of: rows.count())
        model._base_manager.get(pk=3).save()
    for ask in [*matters, *rest]:
        keep(ask)
    write()
    assert all(map(is_right, [*matters, *rest]))


# update()

PROFILE = {"ops": "all", "timeout": 600}


def move() -> int:
    return Post.objects.filter(pk=1).update(category=2)


def test_update_alone_drops_nothing() -> None:
    keep(posts_of(1))
    move()
    assert is_cached(posts_of(1))


@pytest.mark.django_db(transaction=True)
def test_update_alone_leaves_the_table_to_the_cache() -> None:
    move()
    keep(posts_of(3))


def test_update_alone_is_seen_by_its_own_transaction() -> None:
    keep(posts_of(1))
    with transaction.atomic():
        move()
        assert is_right(posts_of(1))


@override_settings(CACHEOPS={"testapp.*": {**PROFILE, "invalidate_on_update": "rows"}})
def test_update_drops_what_its_rows_matter_to_where_the_profile_says_rows() -> None:
    for ask in (posts_of(1), posts_of(2), posts_of(3)):
        keep(ask)
    move()
    assert [is_cached(posts_of(n)) for n in (3, 2, 1)] == [True, False, False]


@override_settings(CACHEOPS={"testapp.*": {**PROFILE, "invalidate_on_update": "table"}})
def test_update_drops_all_of_the_table_where_the_profile_says_table() -> None:
    keep(posts_of(3))
    keep(tagged(1))
    with CaptureQueriesContext(connection) as captured:
        move()
    assert not any("SELECT" in query["sql"] for query in captured)
    assert is_cached(tagged(1))
    assert not is_cached(posts_of(3))


def test_invalidated_update_of_a_manager_and_of_a_relation_is_tracked() -> None:
    keep(posts_of(1))
    assert Category(pk=1).posts.invalidated_update(title="x") == 1
    assert is_right(posts_of(1))
    assert Post.objects.invalidated_update(title="y") == 3
    assert is_right(posts_of(1))


@pytest.mark.parametrize("most, kept", [(3, True), (1, False)], ids=["few enough", "too many"])
def test_too_many_rows_drop_the_whole_table(most: int, kept: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cacheops_django.old_rows.MOST_ROWS", most)
    keep(posts_of(3))
    Post.objects.filter(views__lt=3).invalidated_update(title="x")
    assert is_cached(posts_of(3)) is kept


@pytest.mark.parametrize(
    "rows",
    [
        lambda: Post.objects.filter(views=1, pk__gt=Random()),
        lambda: Post.objects.filter(views__in=[1, Floor(Random())]),
        lambda: Post.objects.filter(pk__in=RawSQL("SELECT 1", ())),
        lambda: Post.objects.filter(category__in=Category.objects.filter(title="c1")),
        lambda: Post.objects.filter(Exists(Category.objects.filter(posts=OuterRef("pk"), pk=1))),
    ],
    ids=["chance", "chance in a list", "raw SQL", "a subquery", "exists"],
)
def test_rows_that_are_chosen_otherwise_the_next_time_drop_the_whole_table(rows: Callable[[], Rows]) -> None:
    for ask in (posts_of(1), posts_of(3)):
        keep(ask)
    rows().invalidated_update(title="x")
    assert not any(map(is_cached, (posts_of(1), posts_of(3))))


# Old values


def test_the_old_values_are_those_of_the_database_and_not_of_a_stale_copy() -> None:
    mine = post(1)
    changed(post(1), category_id=2).save()
    keep(posts_of(2))
    changed(mine, category_id=3).save()
    assert is_right(posts_of(2))
    assert is_right(posts_of(3))


def test_a_stale_copy_deletes_what_the_database_has() -> None:
    mine = post(1)
    changed(post(1), category_id=2).save()
    keep(posts_of(2))
    mine.delete()
    assert is_right(posts_of(2))


def statements(write: Write) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        write()
    return [query["sql"] for query in captured if "testapp_post" in query["sql"]]


@pytest.mark.django_db(transaction=True)
def test_the_old_values_are_read_under_a_lock() -> None:
    row = post(1)
    with transaction.atomic():
        # To say that a row has changed is not to have changed it: it takes no lock.
        invalidate_obj(row)
        *before, read, write = statements(row.save)
    assert read.startswith("SELECT")
    assert write.startswith("UPDATE")
    if connection.features.has_select_for_update:
        assert "FOR UPDATE" in read
    else:
        assert [sql.split()[0] for sql in before] == ["UPDATE"]


@pytest.mark.django_db(transaction=True)
def test_sqlites_lock_is_taken_once_in_a_transaction() -> None:
    first, second = post(1), post(2)
    with transaction.atomic():
        first.save()
        assert len(statements(second.save)) == 2


def learned(ask: Ask, *rows: models.Model) -> None:
    """Let the process know which columns the queries of a table ask by."""
    keep(ask)
    for row in rows:
        row.save()
    keep(ask)


def selects(write: Write) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        write()
    return [query["sql"] for query in captured if query["sql"].startswith("SELECT")]


def test_only_columns_that_some_query_asks_by_are_read_before_a_write() -> None:
    row = post(1)
    learned(posts_of(1), row)
    (sql,) = selects(row.save)
    assert "category_id" in sql
    assert "title" not in sql


def test_nothing_is_read_where_queries_ask_by_the_primary_key_alone() -> None:
    row = post(1)
    learned(lambda: Post.objects.get(pk=1), row)
    assert selects(row.save) == []
    assert is_right(lambda: Post.objects.get(pk=1))


def test_nothing_is_read_where_queries_ask_for_the_whole_table() -> None:
    row = post(1)
    learned(Post.objects.count, row)
    assert selects(row.save) == []


# Handlers of signals


def test_what_a_handler_does_to_the_instance_afterwards_is_not_what_was_written() -> None:
    def meddle(instance: Post, **kwargs: Any) -> None:
        instance.category_id = 3

    post_save.connect(meddle, Post)
    try:
        for ask in (posts_of(1), posts_of(2), posts_of(3)):
            keep(ask)
        changed(post(1), category_id=2).save()
    finally:
        post_save.disconnect(meddle, Post)
    assert [is_cached(posts_of(n)) for n in (3, 2, 1)] == [True, False, False]


def test_what_a_handler_does_to_the_instance_before_is_written() -> None:
    def meddle(instance: Post, **kwargs: Any) -> None:
        instance.category_id = 3

    pre_save.connect(meddle, Post)
    try:
        keep(posts_of(3))
        post(1).save()
    finally:
        pre_save.disconnect(meddle, Post)
    assert is_right(posts_of(3))


@pytest.mark.django_db(transaction=True)
def test_handlers_see_a_row_that_is_committed_and_what_they_read_is_cached() -> None:
    seen: list[Any] = []

    def look(instance: Post, **kwargs: Any) -> None:
        seen.append((connection.in_atomic_block, is_right(posts_of(2)), is_cached(posts_of(2))))

    post_save.connect(look, Post)
    try:
        row = changed(post(1), category_id=2)
        row.save()
    finally:
        post_save.disconnect(look, Post)
    # A model with parents is saved in a transaction of Django's own; this one is not.
    assert seen == [(False, True, True)]
    assert is_cached(posts_of(2))


def test_handlers_of_a_delete_are_asked_past_the_cache() -> None:
    found: list[Any] = []

    def look(**kwargs: Any) -> None:
        found.append([row.pk for row in Post.objects.filter(category=1)])

    post_delete.connect(look, Post)
    try:
        keep(posts_of(1))
        post(1).delete()
    finally:
        post_delete.disconnect(look, Post)
    assert found == [[]]


# Failures


def test_a_write_that_fails_drops_nothing() -> None:
    keep(lambda: Club.objects.filter(pk=1).first())
    with pytest.raises(IntegrityError), transaction.atomic():
        Club.objects.create(name="k1")
    assert is_cached(lambda: Club.objects.filter(pk=1).first())


def test_a_write_whose_end_is_not_known_counts_as_a_change_of_the_whole_table() -> None:
    keep(posts_of(1))
    execute = connection.execute_wrapper(fail_after("UPDATE"))
    with transaction.atomic():
        with execute, pytest.raises(DatabaseError):
            changed(post(1), category_id=2)._do_update(
                Post._base_manager.all(), "default", 1, [(Post._meta.get_field("category"), None, 2)], None, False,
                *([[]] if has_returning_update() else []),
            )  # fmt: skip
        assert is_right(posts_of(1))
    assert is_right(posts_of(1))


def has_returning_update() -> bool:
    from django.db.models.sql.compiler import SQLUpdateCompiler

    return hasattr(SQLUpdateCompiler, "execute_returning_sql")


def fail_after(start: str) -> Any:
    def wrapper(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        result = execute(sql, params, many, context)
        if sql.startswith(start) and "WHERE 0" not in sql:
            raise DatabaseError("the connection did not say how it ended")
        return result

    return wrapper


# Everything else


def test_no_invalidation_lets_a_write_pass() -> None:
    keep(posts_of(1))
    with scopes.no_invalidation:
        assert scopes.no_invalidation.active
        changed(post(1), category_id=2).save()
    assert not scopes.no_invalidation.active
    assert is_cached(posts_of(1))


@override_settings(CACHEOPS_ENABLED=False)
def test_writes_invalidate_while_reading_is_turned_off() -> None:
    with override_settings(CACHEOPS_ENABLED=True):
        keep(posts_of(1))
    changed(post(1), category_id=2).save()
    with override_settings(CACHEOPS_ENABLED=True):
        assert is_right(posts_of(1))


@override_settings(CACHEOPS={"testapp.post": None, "testapp.*": PROFILE})
def test_a_table_that_is_mapped_to_none_is_neither_cached_nor_invalidated(cache_server: Server) -> None:
    row = post(1)
    with count_round_trips(caches.current().driver.client) as trips:
        row.save()
    assert trips.count == 0
    assert not is_cached(posts_of(1))
    assert not is_cached(lambda: Category.objects.filter(posts=1).count())


def test_loaddata_is_tracked(tmp_path: Any) -> None:
    keep(of(Tag.objects.filter(name="t1")))
    fixture = tmp_path / "tags.json"
    fixture.write_text(serializers.serialize("json", [Tag(pk=77, name="t1")]))
    call_command("loaddata", str(fixture), verbosity=0, stdout=StringIO())
    assert is_right(of(Tag.objects.filter(name="t1")))


if hasattr(models, "DB_CASCADE"):

    @isolate_apps("testapp")
    def test_what_the_database_deletes_by_itself_counts_as_changed() -> None:
        from cacheops_django.tables import cascades

        class Top(models.Model):
            class Meta:
                app_label = "testapp"

        class Middle(models.Model):
            top = models.ForeignKey(Top, on_delete=models.DB_CASCADE, related_name="+")

            class Meta:
                app_label = "testapp"

        class Bottom(models.Model):
            middle = models.ForeignKey(Middle, on_delete=models.DB_SET_NULL, null=True)
            other = models.ForeignKey(Tag, on_delete=models.CASCADE, related_name="+")

            class Meta:
                app_label = "testapp"

        assert set(cascades(Top)) == {"testapp_middle", "testapp_bottom"}
        assert set(cascades(Bottom)) == set()
