"""Every spelling of a query: it is cached, and after a write to any table that it reads it is asked anew."""

import datetime
import itertools
import uuid
from collections.abc import Callable, Iterator
from copy import copy
from decimal import Decimal
from typing import Any

import pytest
from answers import Ask, answer, is_cached, is_right, keep, queries, uncached
from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.db import connection, models, transaction
from django.db.models import (
    Avg,
    Case,
    Count,
    Exists,
    F,
    FilteredRelation,
    Func,
    Max,
    Min,
    Model,
    OuterRef,
    Prefetch,
    Q,
    Subquery,
    Sum,
    Value,
    When,
)
from django.db.models.expressions import RawSQL
from django.db.models.functions import Length, Lower, Now, Random, TruncDate
from django.test.utils import CaptureQueriesContext
from numbering import go_on_counting
from shapes import NOON, SHAPES
from testapp.models import (
    Author,
    Box,
    Category,
    City,
    Club,
    Color,
    Event,
    Everything,
    Label,
    Legacy,
    LegacyNote,
    Membership,
    Pizzeria,
    Place,
    Post,
    Profile,
    Restaurant,
    Seat,
    StarredPlace,
    Tag,
    Token,
    TokenUse,
)

from cacheops_django import reasons

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
@transaction.atomic  # or each row would be a transaction, with fences of its own
def _rows() -> None:
    """Make rows that the shapes find."""
    for number, letter in enumerate("abc", 1):
        tag = Tag.objects.create(pk=number, name=letter)
        parent = Category.objects.order_by("-pk").first()
        category = Category.objects.create(pk=number, title=letter, slug=letter, parent=parent)
        author, club = (
            Author.objects.create(pk=number, name=letter),
            Club.objects.create(pk=number, name=letter),
        )
        Membership.objects.create(pk=number, author=author, club=club)
        Profile.objects.create(pk=number, author=author, motto=letter)
        author.follows.add(Author.objects.get(pk=1))
        post = Post.objects.create(
            pk=number, title=letter, text=letter, views=number, rating=number, created=NOON,
            category=category, editor=author if number > 1 else None,
        )  # fmt: skip
        post.tags.add(tag, Tag.objects.get(pk=1))
        Label.objects.create(pk=number, text=letter, target=post)
        city = City.rows.create(pk=number, name=letter)
        Pizzeria.objects.create(pk=number, name=letter, stars=number, cuisine="b", city=city, ovens=number)
        Event.objects.create(pk=number, title=letter, on=datetime.date(2024, number, 1))
        token = Token.objects.create(pk=uuid.UUID(int=number), name=letter)
        TokenUse.objects.create(pk=number, token=token, count=number)
        Everything.objects.create(
            pk=number, integer=number, small=1, big=2**40, number=1.5, price=Decimal("1.50"), rate=2, color=Color.RED,
            on=datetime.date(2024, 1, 1), at=datetime.time(1, 2), took=datetime.timedelta(1), key=uuid.UUID(int=1),
            moment=NOON + datetime.timedelta(days=1), ip="127.0.0.1", boolean=True, words=["a", "b"],
            blob=None, data={"k": [1, True, None]},
        )  # fmt: skip
        Box.objects.create(pk=number, width=number, height=6 // number)
        Seat.objects.create(hall=1, number=number)
        legacy = Legacy.objects.create(pk=letter, label=letter, next=Legacy.objects.first())
        LegacyNote.objects.create(pk=number, club=club, legacy=legacy)
    go_on_counting()


def latest(field: str) -> Subquery:
    return Subquery(Post.objects.filter(category=OuterRef("pk")).order_by("-pk").values(field)[:1])


MORE: dict[str, Ask] = {
    "get": lambda: Post.objects.get(pk=1),
    "get over a relation": lambda: Post.objects.get(category__title="a"),
    "first": lambda: Post.objects.filter(visible=True).first(),
    "last": lambda: Post.objects.order_by("category__title").last(),
    "latest": Event.objects.latest,
    "earliest": lambda: Event.objects.earliest("on", "pk"),
    "count": lambda: Post.objects.filter(category__parent__isnull=True).count(),
    "count of distinct": lambda: Category.objects.filter(posts__views__gt=0).distinct().count(),
    "count of a slice": Post.objects.filter(editor__name="b").order_by("pk")[:2].count,
    "exists": lambda: Tag.objects.filter(posts__views=2).exists(),
    "contains": lambda: Post.objects.filter(tags=1).contains(Post(pk=2)),
    "in_bulk": lambda: Post.objects.in_bulk([1, 2]),
    "in_bulk by name": lambda: Club.objects.in_bulk(["a", "b"], field_name="name"),
    "index": lambda: Post.objects.order_by("-views", "pk")[1],
    "aggregate": lambda: Post.objects.filter(category__title="a").aggregate(Sum("views"), best=Max("rating")),
    "aggregate over relations": lambda: Category.objects.aggregate(n=Count("posts__tags", distinct=True)),
    "aggregate of an annotation": lambda: Post.objects.annotate(n=Count("tags")).aggregate(Max("n"), Avg("n")),
    "aggregate of a slice": lambda: Post.objects.order_by("pk")[:2].aggregate(n=Sum("views")),
    "aggregate of distinct": lambda: Post.objects.values("visible").distinct().aggregate(n=Count("*")),
    "aggregates of each other": lambda: Post.objects.aggregate(n=Count("pk"), s=Sum("views"), x=F("s") / F("n")),
    "aggregate with a filter": lambda: Category.objects.aggregate(n=Count("posts", filter=Q(posts__tags=1))),
    "aggregate of a subquery": lambda: Category.objects.annotate(v=latest("views")).aggregate(Sum("v"), Min("v")),
    "aggregate by a case": lambda: Post.objects.aggregate(
        n=Sum(Case(When(editor__name="b", then=1), default=0))
    ),
    "dates": lambda: list(Event.objects.dates("on", "month")),
    "datetimes of a relation": lambda: list(
        Post.objects.filter(editor__name="b").datetimes("created", "day", tzinfo=datetime.UTC)
    ),
    "a key's object": lambda: Post.objects.get(pk=1).category.parent,
    "a key's object, backwards": lambda: Author.objects.get(pk=1).profile,
    "a generic key's object": lambda: Label.objects.get(pk=1).target,
    "a generic relation": lambda: list(Post(pk=1).labels.all()),
    "over a generic relation": lambda: list(Post.objects.filter(labels__text="a")),
    "prefetched": lambda: [
        (post, list(post.tags.all())) for post in Post.objects.order_by("pk").prefetch_related("tags")
    ],
    "prefetched twice": lambda: [
        [list(post.tags.all()) for post in category.posts.all()]
        for category in Category.objects.order_by("pk").prefetch_related("posts__tags")
    ],
    "prefetched with conditions": lambda: [
        post.good
        for post in Post.objects.order_by("pk").prefetch_related(
            Prefetch("tags", Tag.objects.filter(name="a"), to_attr="good")
        )
    ],
    "prefetched generic": lambda: [
        (label, label.target) for label in Label.objects.order_by("pk").prefetch_related("target")
    ],
    "prefetched keys": lambda: [
        post.category for post in Post.objects.order_by("pk").prefetch_related("category")
    ],
    "union of unions": lambda: list(
        Post.objects.values("pk").union(Tag.objects.values("pk").union(Author.objects.values("pk")))
    ),
    "union of relations": lambda: list(
        Post.objects.filter(category__title="a").union(Post.objects.filter(editor__name="b"))
    ),
    "count of a union": lambda: Post.objects.filter(pk=1).union(Post.objects.filter(tags__name="a")).count(),
    "a union in a filter": lambda: list(
        Category.objects.filter(
            pk__in=Post.objects.filter(views=1).values("category").union(
                Post.objects.filter(editor__name="b").values("category")
            )
        )
    ),
    "exists over a union": lambda: list(
        Category.objects.filter(
            Exists(Post.objects.filter(views=1).values("pk").union(Tag.objects.filter(name="a").values("pk")))
        )
    ),
    "ordered by a subquery": lambda: list(Category.objects.order_by(latest("title"), "pk")),
    "ordered by an aggregate": lambda: list(
        Category.objects.annotate(n=Count("posts__tags")).order_by(F("n").desc(), "pk")
    ),
    "ordered by a case": lambda: list(Post.objects.order_by(Case(When(editor__name="b", then=0), default=1), "pk")),
    "a subquery in a case": lambda: list(
        Category.objects.annotate(x=Case(When(Exists(Post.objects.filter(views=2)), then=1), default=0))
    ),
    "a subquery in an aggregate": lambda: list(
        Category.objects.annotate(n=Count("posts", filter=Q(posts__in=Post.objects.filter(tags__name="a"))))
    ),
    "a subquery compared with a column": lambda: list(
        Post.objects.filter(views__gte=Post.objects.filter(pk=2).values("views"))
    ),
    "a subquery in values": lambda: list(Category.objects.values("title", latest=latest("title"))),
    "an outer join in a condition": lambda: list(Post.objects.filter(Q(editor__name="b") | Q(editor=None))),
    "no such relation": lambda: list(Category.objects.filter(posts__isnull=True)),
    "exclude over many": lambda: list(Post.objects.exclude(tags__posts__views=2)),
    "two filters on many": lambda: list(Category.objects.filter(posts__views=1).filter(posts__tags=1)),
    "filtered relation in an aggregate": lambda: list(
        Category.objects.annotate(p=FilteredRelation("posts", condition=Q(posts__visible=True))).annotate(
            n=Count("p")
        )
    ),
    "ordered by Meta of a relation": lambda: list(Profile.objects.order_by("author__name", "pk")),
    "only over a relation": lambda: list(Post.objects.select_related("category").only("title", "category__title")),
    "a child with its parent": lambda: list(Pizzeria.objects.select_related("city")),
    "a parent's child": lambda: Place.objects.get(pk=1).restaurant.pizzeria,
    "a parent as a proxy": lambda: list(StarredPlace.objects.filter(stars=1)),
    "parents of children": lambda: list(Place.objects.filter(restaurant__city__name="a")),
    "through a model": lambda: list(Author.objects.filter(membership__club__name="a")),
    "many to many rows": lambda: list(Post.tags.through.objects.filter(tag__name="a")),
    "related instances": lambda: list(Author.objects.get(pk=2).follows.all()),
    "related count": lambda: len({Author.objects.get(pk=1).followers.count()}),
    "parts of moments": lambda: list(Post.objects.annotate(d=TruncDate("created")).values("d").distinct()),
    "strings of rows": lambda: list(Post.objects.values_list(Length("title"), Lower("text"))),
    "flat keys over a relation": lambda: list(Post.objects.values_list("category__parent", flat=True)),
    "in a queryset of values": lambda: list(Tag.objects.filter(name__in=Category.objects.values("title"))),
    "with a constant": lambda: list(Post.objects.annotate(x=Value("x")).values_list("x", "pk")),
    "alias of a relation": lambda: list(Post.objects.alias(c=F("category__title")).filter(c="a")),
}  # fmt: skip


def _listed(make: Callable[[], Any]) -> Ask:
    return lambda: list(make())


ASKS: dict[str, Ask] = {**{name: _listed(make) for name, make in SHAPES.items()}, **MORE}


every = pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)


def models_read(ask: Ask) -> list[type[Model]]:
    """Return the models whose tables stand in the SQL of an answer."""
    with CaptureQueriesContext(connection) as captured:
        uncached(ask)
    sql = " ".join(query["sql"] for query in captured)
    everything = [m for m in apps.get_models(include_auto_created=True) if not m._meta.proxy]
    return [
        m for m in everything if connection.ops.quote_name(m._meta.db_table) in sql and m is not ContentType
    ]


def another(field: Any, value: Any) -> Any:
    """Return another value than this one, of those that the shapes ask for."""
    pool: list[Any]
    if isinstance(field, models.ForeignKey):
        keys = field.related_model._base_manager.order_by("pk").values_list(
            field.target_field.attname, flat=True
        )
        pool = list(keys.nocache())
    else:
        kinds = {str: ["a", "b", "c"], bool: [False, True], int: [1, 2, 3], float: [1.0, 1.5]}
        pool = kinds.get(type(value), [value])
    return pool[(pool.index(value) + 1) % len(pool)] if value in pool else next(iter(pool), None)


def mended(row: Model) -> bool:
    """Let a row refer to rows that are there; return whether that can be done."""
    for field in row._meta.local_concrete_fields:
        if isinstance(field, models.ForeignKey):
            rows, value = field.related_model._base_manager.nocache(), getattr(row, field.attname)
            if not rows.filter(**{field.target_field.attname: value}).exists():
                setattr(row, field.attname, another(field, None))
            if getattr(row, field.attname) is None and not field.null:
                return False
    return True


def write_all(model: type[Model]) -> Iterator[str]:
    """Change each row, make one and delete one, and say so each time."""
    rows = list(model._base_manager.order_by("pk").nocache())
    plain = [
        field
        for field in model._meta.local_concrete_fields
        if not (field.primary_key or field.unique or field.generated or field.choices or field.name == "ip")
        and field.name
        not in ("hall", "number", "content_type", *itertools.chain(*model._meta.unique_together))
    ]
    for row in rows:
        for field in plain:
            setattr(row, field.attname, another(field, getattr(row, field.attname)))
        row.save()
        yield f"{row!r} was saved"
    for row in rows[1:]:
        gone = copy(row)
        gone.delete()
        yield f"{row!r} was deleted"
        if mended(row):
            row.save(force_insert=True)
            yield f"{row!r} was made again"


def test_there_are_shapes_enough() -> None:
    assert len(ASKS) >= 120


@every
def test_a_query_is_cached_whatever_its_shape(ask: Ask) -> None:
    first = answer(ask)
    assert is_cached(ask), dict(reasons.bypasses)
    assert answer(ask) == first == uncached(ask)


@every
def test_a_write_to_any_table_that_is_read_is_seen(ask: Ask) -> None:
    for model in models_read(ask):
        answer(ask)
        for done in write_all(model):
            assert is_right(ask), done


REFUSED: dict[str, tuple[Ask, str]] = {
    "extra": (lambda: list(Post.objects.extra(select={"x": "1"})), "extra()"),
    "raw SQL": (lambda: list(Post.objects.annotate(x=RawSQL("1", ()))), "RawSQL"),
    "now": (lambda: list(Post.objects.filter(created__lt=Now())), "Now"),
    "now in an aggregate": (lambda: Post.objects.aggregate(x=Max(Now())), "Now"),
    "now in a count": (lambda: Post.objects.filter(created__lt=Now()).count(), "Now"),
    "random": (lambda: Post.objects.annotate(x=Random()).exists(), "Random"),
    "random order": (lambda: Post.objects.order_by("?").first(), 'order_by("?")'),
    "a function in place": (
        lambda: list(Post.objects.values(x=Func("pk", function="ABS"))),
        "named in place",
    ),
    "locks": (lambda: list(Post.objects.select_for_update()), "select_for_update()"),
}


@pytest.mark.parametrize("ask, reason", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_cached_goes_to_the_database_and_says_why(ask: Ask, reason: str) -> None:
    assert queries(ask) == queries(ask) == 1
    assert any(reason in why for _, _, why in reasons.bypasses), reasons.bypasses


Write = Callable[[], Any]
HARMLESS: dict[str, tuple[Ask, Write]] = {
    "another row is saved": (lambda: Post.objects.get(pk=1), lambda: Post.objects.get(pk=2).save()),
    "another row is deleted": (lambda: Post.objects.get(pk=1), lambda: Post.objects.get(pk=2).delete()),
    "a row of another category": (
        lambda: list(Post.objects.filter(category=1)),
        lambda: Post.objects.create(title="d", category_id=2),
    ),
    "a row of none of the categories": (
        lambda: list(Post.objects.filter(category__in=[1, 2])),
        lambda: Post.objects.create(title="d", category_id=3),
    ),
    "a row of neither branch": (
        lambda: Post.objects.filter(Q(views=1) | Q(category=2)).count(),
        lambda: Post.objects.create(title="d", category_id=3, views=4),
    ),
    "a row that meets one condition of two": (
        lambda: Post.objects.filter(category=1, visible=False).exists(),
        lambda: Post.objects.create(title="d", category_id=1, visible=True),
    ),
    "another key's rows": (lambda: list(Post(pk=1).tags.all()), lambda: Post(pk=2).tags.set([])),
    "another key's rows, backwards": (
        lambda: list(Author(pk=2).followers.all()),
        Author(pk=1).follows.clear,
    ),
    "another parent": (
        lambda: list(Category(pk=1).children.all()),
        lambda: Category.objects.create(title="d"),
    ),
    "an aggregate of others": (
        lambda: Post.objects.filter(category=1).aggregate(Sum("views")),
        lambda: Post.objects.filter(category=2).delete(),
    ),
    "a slice of others": (
        lambda: list(Post.objects.filter(category=1).order_by("-views")[:1]),
        lambda: Post.objects.bulk_create([Post(title="d", category_id=2, views=9)]),
    ),
    "a table that is not read": (
        lambda: list(Post.objects.all()),
        lambda: Category.objects.create(title="d"),
    ),
    "a child of other stars": (
        lambda: list(Place.objects.filter(stars=1)),
        lambda: Restaurant.objects.create(name="d", stars=4),
    ),
    "the other end of a trimmed join": (
        lambda: list(Post.objects.filter(tags=1)),
        lambda: Tag.objects.get(pk=1).save(),
    ),
    "another UUID": (
        lambda: list(TokenUse.objects.filter(token=uuid.UUID(int=1))),
        lambda: TokenUse.objects.create(token_id=uuid.UUID(int=2)),
    ),
    "another row known by two columns": (
        lambda: list(Seat.objects.filter(hall=1, number=1)),
        lambda: Seat.objects.create(hall=1, number=9),
    ),
    "another price": (
        lambda: list(Everything.objects.filter(price=Decimal("1.5"))),
        lambda: Everything.objects.create(price=Decimal("1.51")),
    ),
    "another author than those asked for": (
        lambda: list(Post.objects.filter(editor__in=[2, 3]).select_related("editor")),
        lambda: Author.objects.get(pk=1).save(),
    ),
    "what belongs to another row": (
        lambda: Author.objects.filter(pk=2).aggregate(Count("edited")),
        lambda: Post.objects.create(title="d", category_id=1, editor_id=3),
    ),
    "what may belong to nobody": (
        lambda: Author.objects.select_related("profile").get(pk=2),
        lambda: Profile.objects.get(pk=1).delete(),
    ),
    "a label of another row": (
        lambda: Post.objects.filter(pk=1).aggregate(Count("labels")),
        lambda: Label.objects.create(text="d", target=Post(pk=2)),
    ),
    "a row of another relation": (
        lambda: list(Category.objects.filter(posts__views=1)),
        lambda: Post.objects.create(title="d", category_id=2, views=7),
    ),
}


@pytest.mark.parametrize("ask, write", HARMLESS.values(), ids=HARMLESS)
def test_a_write_that_cannot_matter_leaves_the_answer_cached(ask: Ask, write: Write) -> None:
    keep(ask)
    write()
    assert is_cached(ask)
    assert is_right(ask)


def test_two_questions_never_share_an_answer() -> None:
    for name, ask in [*ASKS.items(), *ASKS.items()]:
        assert answer(ask) == uncached(ask), name
