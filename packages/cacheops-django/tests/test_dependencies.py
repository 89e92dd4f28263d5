"""What a query depends on: which rows of which tables could alter its result, and what is refused."""

import datetime
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection, models
from django.db.models import (
    Case,
    Count,
    Exists,
    F,
    FilteredRelation,
    Func,
    IntegerField,
    Max,
    OuterRef,
    Q,
    QuerySet,
    RowRange,
    Subquery,
    Sum,
    Value,
    When,
    Window,
)
from django.db.models.expressions import RawSQL
from django.db.models.functions import Lower, Now, Random, RowNumber
from django.db.models.lookups import Exact
from django.test import override_settings
from django.test.utils import isolate_apps
from testapp.models import (
    Author,
    Category,
    Club,
    Color,
    Event,
    Everything,
    Legacy,
    LegacyNote,
    Pizzeria,
    Place,
    Post,
    Profile,
    Restaurant,
    Seat,
    StarredPlace,
    Tag,
    TokenUse,
)

from cacheops_django.dependencies import dependencies, examine
from cacheops_django.reasons import Uncacheable

pytestmark = pytest.mark.django_db

Make = Callable[[], QuerySet[Any, Any]]
ANY: list[dict[str, Any]] = [{}]
NARROWS_BY_TEXT = connection.vendor != "mysql"
NOON = datetime.datetime(2024, 5, 1, 12, tzinfo=datetime.UTC)
ONE = uuid.UUID(int=1)


def found(queryset: QuerySet[Any, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return the conjunctions by table, the app's name left out."""
    tables = dependencies(queryset.query, "default").tables
    return {name.removeprefix("testapp_"): [dict(c) for c in conjunctions] for name, conjunctions in tables}


def refusal(queryset: QuerySet[Any, Any]) -> str:
    """Return why a queryset is refused."""
    with pytest.raises(Uncacheable) as caught:
        dependencies(queryset.query, "default")
    return caught.value.reason


NARROWED: dict[str, tuple[Make, dict[str, Any]]] = {
    "nothing is asked": (Post.objects.all, {"post": ANY}),
    "the primary key": (lambda: Post.objects.filter(pk=1), {"post": [{"id": "1"}]}),
    "two conditions": (
        lambda: Post.objects.filter(views=1, visible=True),
        {"post": [{"views": "1", "visible": "1"}]},
    ),
    "one after the other": (
        lambda: Post.objects.filter(views=1).filter(visible=False),
        {"post": [{"views": "1", "visible": "0"}]},
    ),
    "a condition that does not narrow": (
        lambda: Post.objects.filter(views=1, pk__gt=5),
        {"post": [{"views": "1"}]},
    ),
    "or": (
        lambda: Post.objects.filter(Q(views=1) | Q(pk=2)),
        {"post": [{"id": "2"}, {"views": "1"}]},
    ),
    "or with what does not narrow": (lambda: Post.objects.filter(Q(views=1) | Q(pk__gt=2)), {"post": ANY}),
    "or inside and": (
        lambda: Post.objects.filter(Q(views=1) | Q(views=2), visible=True),
        {"post": [{"views": "1", "visible": "1"}, {"views": "2", "visible": "1"}]},
    ),
    "and inside or": (
        lambda: Post.objects.filter(Q(Q(views=1) & Q(pk=3)) | Q(visible=True, pk=4)),
        {"post": [{"id": "3", "views": "1"}, {"id": "4", "visible": "1"}]},
    ),
    "a branch that cannot be": (
        lambda: Post.objects.filter(Q(views=1) | Q(views=2)).filter(views=2),
        {"post": [{"views": "2"}]},
    ),
    "exclude": (lambda: Post.objects.exclude(views=1), {"post": ANY}),
    "exclude beside filter": (
        lambda: Post.objects.filter(visible=True).exclude(views=1),
        {"post": [{"visible": "1"}]},
    ),
    "a double negation": (lambda: Post.objects.filter(~Q(~Q(views=1), pk__gt=0)), {"post": ANY}),
    "exclusive or": (lambda: Post.objects.filter(Q(views=1) ^ Q(visible=True)), {"post": ANY}),
    "a short list": (
        lambda: Post.objects.filter(views__in=[2, 1, 2]),
        {"post": [{"views": "1"}, {"views": "2"}]},
    ),
    "a list as long as may be": (
        lambda: Post.objects.filter(views__in=range(8)),
        {"post": [{"views": str(n)} for n in range(8)]},
    ),
    "a long list": (lambda: Post.objects.filter(views__in=range(9)), {"post": ANY}),
    "a list with nothing in it": (
        lambda: Post.objects.filter(category__in=[1, None]),
        {"post": [{"category_id": "1"}]},
    ),
    "more branches than are looked at": (
        lambda: Post.objects.filter(
            views__in=range(8), category__in=range(8), editor__in=range(2), visible=True
        ),
        {"post": [{"category_id": str(c), "editor_id": e, "visible": "1"} for c in range(8) for e in "01"]},
    ),
    "null in the table itself": (
        lambda: Post.objects.filter(rating__isnull=True, editor__isnull=True),
        {"post": [{"editor_id": None}]},
    ),
    "None": (lambda: Post.objects.filter(editor=None), {"post": [{"editor_id": None}]}),
    "not null": (lambda: Post.objects.filter(editor__isnull=False), {"post": ANY}),
    "null over an inner join": (
        lambda: Post.objects.filter(category__title__gt="", category__parent__isnull=True),
        {"post": ANY, "category": [{"parent_id": None}]},
    ),
    "null over an outer join": (
        lambda: Post.objects.filter(editor__profile__isnull=True),
        {"post": ANY, "author": ANY, "profile": ANY},
    ),
    "a column over a join": (
        lambda: Post.objects.filter(category__parent=1),
        {"post": ANY, "category": [{"parent_id": "1"}]},
    ),
    "both sides of a join": (
        lambda: Post.objects.filter(views=1, category__parent=2),
        {"post": [{"views": "1"}], "category": [{"parent_id": "2"}]},
    ),
    "or over a join": (
        lambda: Post.objects.filter(Q(views=1) | Q(category__parent=2)),
        {"post": ANY, "category": ANY},
    ),
    "a table joined to itself": (
        lambda: Category.objects.filter(pk=1, parent__parent=2),
        {"category": [{"id": "1"}, {"parent_id": "2"}]},
    ),
    "one relation, two filters": (
        lambda: Category.objects.filter(posts__views=1).filter(posts__views=2),
        {"category": ANY, "post": [{"views": "1"}, {"views": "2"}]},
    ),
    "one relation, one filter": (
        lambda: Category.objects.filter(posts__views=1, posts__pk=2),
        {"category": ANY, "post": [{"id": "2", "views": "1"}]},
    ),
    "a key by attribute": (lambda: Post.objects.filter(category_id=1), {"post": [{"category_id": "1"}]}),
    "a key by instance": (
        lambda: Post.objects.filter(category=Category(pk=1)),
        {"post": [{"category_id": "1"}]},
    ),
    "a key by the other's primary key": (
        lambda: Post.objects.filter(category__pk=1),
        {"post": [{"category_id": "1"}]},
    ),
    "keys by instances": (
        lambda: Post.objects.filter(category__in=[Category(pk=1), Category(pk=2)]),
        {"post": [{"category_id": "1"}, {"category_id": "2"}]},
    ),
    "what belongs to an instance": (Category(pk=1).posts.all, {"post": [{"category_id": "1"}]}),
    "many to many without its far table": (
        lambda: Post.objects.filter(tags=1),
        {"post": ANY, "post_tags": [{"tag_id": "1"}]},
    ),
    "many to many of an instance": (Post(pk=1).tags.all, {"tag": ANY, "post_tags": [{"post_id": "1"}]}),
    "many to many with its far table": (
        lambda: Post.objects.filter(tags__pk=1, tags__name__gt=""),
        {"post": ANY, "post_tags": [{"tag_id": "1"}], "tag": [{"id": "1"}]},
    ),
    "many to many through a model": (
        lambda: Author.objects.filter(clubs=1),
        {"author": ANY, "membership": [{"club_id": "1"}]},
    ),
    "many to many to itself": (
        lambda: Author.objects.filter(follows=1),
        {"author": ANY, "author_follows": [{"to_author_id": "1"}]},
    ),
    "one to one, backwards": (
        lambda: Author.objects.filter(profile=1),
        {"author": ANY, "profile": [{"id": "1"}]},
    ),
    "a child's table": (
        lambda: Restaurant.objects.filter(city=1, stars=2),
        {"restaurant": [{"city_id": "1"}], "place": [{"stars": "2"}]},
    ),
    "a grandchild's table": (
        lambda: Pizzeria.objects.filter(ovens=1, city=2, stars=3),
        {"pizzeria": [{"ovens": "1"}], "restaurant": [{"city_id": "2"}], "place": [{"stars": "3"}]},
    ),
    "a child by its primary key": (
        lambda: Pizzeria.objects.filter(pk=1),
        {
            "pizzeria": [{"restaurant_ptr_id": "1"}], "restaurant": [{"place_ptr_id": "1"}],
            "place": [{"id": "1"}],
        },
    ),
    "a parent by its child": (
        lambda: Place.objects.filter(restaurant__city=1),
        {"place": ANY, "restaurant": [{"city_id": "1"}]},
    ),
    "a proxy": (lambda: StarredPlace.objects.filter(pk=1), {"place": [{"id": "1"}]}),
    "the key of a row known by two columns": (
        lambda: Seat.objects.filter(hall=1, number=2),
        {"seat": [{"hall": "1", "number": "2"}]},
    ),
    "two columns as one key": (lambda: Seat.objects.filter(pk=(1, 2)), {"seat": ANY}),
    "select_related": (
        lambda: Post.objects.filter(views=1).select_related("category", "editor"),
        {"post": [{"views": "1"}], "category": ANY, "author": ANY},
    ),
    "select_related of what is asked for": (
        lambda: Post.objects.filter(category=1).select_related("category__parent"),
        {"post": [{"category_id": "1"}], "category": ANY},
    ),
    "select_related over an outer join": (
        lambda: Post.objects.filter(editor__in=[1, 2]).select_related("editor"),
        {"post": [{"editor_id": "1"}, {"editor_id": "2"}], "author": [{"id": "1"}, {"id": "2"}]},
    ),
    "select_related of nothing": (
        lambda: Post.objects.filter(editor=None).select_related("editor"),
        {"post": [{"editor_id": None}], "author": [{"id": None}]},
    ),
    "select_related backwards": (
        lambda: Author.objects.filter(pk=1).select_related("profile"),
        {"author": [{"id": "1"}], "profile": [{"author_id": "1"}]},
    ),
    "select_related in one branch": (
        lambda: Post.objects.filter(Q(editor=1) | Q(views=2)).select_related("editor"),
        {"post": [{"editor_id": "1"}, {"views": "2"}], "author": ANY},
    ),
    "an aggregate over two relations": (
        lambda: Post.objects.filter(pk=1).annotate(n=Count("tags__posts")),
        {"post": [{"id": "1"}], "post_tags": ANY, "tag": ANY},
    ),
    "an aggregate over a generic relation": (
        lambda: Post.objects.filter(pk=1).annotate(n=Count("labels")),
        {"post": [{"id": "1"}], "label": [{"object_id": "1"}]},
    ),
    "a key that is asked for over a join": (
        lambda: Author.objects.filter(profile__author=1, profile__motto__gt=""),
        {"author": [{"id": "1"}], "profile": [{"author_id": "1"}]},
    ),
    "a key that is asked for on both sides": (
        lambda: Author.objects.filter(profile__author=1, pk=2),
        {"author": [{"id": "2"}], "profile": [{"author_id": "1"}]},
    ),
    "ordering by a relation": (
        lambda: Post.objects.filter(views=1).order_by("category__title"),
        {"post": [{"views": "1"}], "category": ANY},
    ),
    "ordering by a model's own": (
        lambda: Profile.objects.filter(author=1).order_by("author"),
        {"profile": [{"author_id": "1"}]},
    ),
    "ordering by default": (lambda: Event.objects.filter(took=None), {"event": ANY}),
    "a union": (
        lambda: Post.objects.filter(pk=1).union(Post.objects.filter(category__parent=2)),
        {"post": ANY, "category": [{"parent_id": "2"}]},
    ),
    "a union of models": (
        lambda: Post.objects.filter(pk=1).values("pk").union(Tag.objects.filter(pk=2).values("pk")),
        {"post": [{"id": "1"}], "tag": [{"id": "2"}]},
    ),
    "a union of a union": (
        lambda: Post.objects.filter(pk=1).union(Post.objects.filter(pk=2).union(Post.objects.filter(views=3))),
        {"post": [{"id": "1"}, {"id": "2"}, {"views": "3"}]},
    ),
    "a union with what does not narrow": (
        lambda: Post.objects.filter(pk=1).union(Post.objects.filter(views__gt=2)),
        {"post": ANY},
    ),
    "an ordered slice of a union": (
        lambda: Post.objects.filter(pk=1).union(Post.objects.filter(views=2)).order_by("title")[:5],
        {"post": [{"id": "1"}, {"views": "2"}]},
    ),
    "a union with a joined row": (
        lambda: Post.objects.filter(editor=1).select_related("editor").union(Post.objects.filter(pk=2)),
        {"post": [{"editor_id": "1"}, {"id": "2"}], "author": [{"id": "1"}]},
    ),
    "a subquery over another table": (
        lambda: Post.objects.filter(views=1, category__in=Category.objects.filter(parent=2)),
        {"post": [{"views": "1"}], "category": [{"parent_id": "2"}]},
    ),
    "a subquery over the same table": (
        lambda: Post.objects.filter(views=1, pk__in=Post.objects.filter(views=2, visible=True)),
        {"post": [{"views": "1"}, {"views": "2", "visible": "1"}]},
    ),
    "a subquery over all of the same table": (
        lambda: Post.objects.filter(views=1, pk__in=Post.objects.filter(views__gt=2)),
        {"post": ANY},
    ),
    "a subquery in a subquery": (
        lambda: Category.objects.filter(
            pk=1, posts__in=Post.objects.filter(views=2, tags__in=Tag.objects.filter(pk=3))
        ),
        {
            "category": [{"id": "1"}],
            "post": [{"category_id": "1"}, {"views": "2"}],
            "post_tags": ANY,
            "tag": [{"id": "3"}],
        },
    ),
    "a union as a subquery": (
        lambda: Category.objects.filter(
            pk__in=Post.objects.filter(views=1).union(Post.objects.filter(views=2)).values("category")
        ),
        {"category": ANY, "post": [{"views": "1"}, {"views": "2"}]},
    ),
    "a union with a subquery": (
        lambda: Tag.objects.filter(pk=1).union(
            Tag.objects.filter(Exists(Post.objects.filter(pk=OuterRef("posts"), views=2)), pk=3)
        ),
        {"tag": [{"id": "1"}, {"id": "3"}], "post_tags": [{"tag_id": "3"}], "post": [{"views": "2"}]},
    ),
    "a subquery with branches": (
        lambda: Category.objects.filter(
            Exists(Post.objects.filter(Q(views=1) | Q(views=2, visible=True), category=OuterRef("pk")))
        ),
        {"category": ANY, "post": [{"views": "1"}, {"views": "2", "visible": "1"}]},
    ),
    "a subquery in one branch": (
        lambda: Post.objects.filter(Q(pk=1) | Q(category__in=Category.objects.filter(pk=2))),
        {"post": ANY, "category": [{"id": "2"}]},
    ),
    "a subquery with what is around it in one branch": (
        lambda: Category.objects.filter(
            Exists(Post.objects.filter(Q(views=1) | Q(category=OuterRef("pk")))), pk=2
        ),
        {"category": [{"id": "2"}], "post": ANY},
    ),
    "a column of what is around it, in a subquery": (
        lambda: Post.objects.filter(
            Exists(Post.objects.filter(Exact(OuterRef("views"), 1), visible=True)), pk=2
        ),
        {"post": [{"id": "2"}, {"visible": "1"}]},
    ),
    "null over an outer join in a subquery": (
        lambda: Category.objects.filter(pk=1, posts__in=Post.objects.filter(editor__profile__isnull=True)),
        {"category": [{"id": "1"}], "post": ANY, "author": ANY, "profile": ANY},
    ),
    "a join in a subquery": (
        lambda: Tag.objects.filter(
            pk=1, name__in=Post.objects.filter(editor=2).order_by("editor__name").values("editor__name")[:1]
        ),
        {"tag": [{"id": "1"}], "post": [{"editor_id": "2"}], "author": [{"id": "2"}]},
    ),
    "a slice that another table orders, in a subquery": (
        lambda: Tag.objects.filter(
            pk=1, posts__in=Post.objects.filter(views=2).order_by("category__title").values("pk")[:1]
        ),
        {"tag": [{"id": "1"}], "post_tags": [{"tag_id": "1"}], "post": [{"views": "2"}], "category": ANY},
    ),
    "groups in a subquery": (
        lambda: Category.objects.filter(
            pk__in=Post.objects.filter(views=1)
            .values("category")
            .annotate(n=Count("pk"))
            .filter(n=2)
            .values("category")
        ),
        {"category": ANY, "post": [{"views": "1"}]},
    ),
    "a window in a subquery": (
        lambda: Category.objects.filter(
            pk=1, posts__in=Post.objects.filter(views=1).annotate(n=Window(RowNumber())).filter(n=1).values("pk")
        ),
        {"category": [{"id": "1"}], "post": [{"category_id": "1"}, {"views": "1"}]},
    ),
    "a window beside a subquery": (
        lambda: Category.objects.filter(pk__in=Post.objects.filter(views=1).values("category")).annotate(
            n=Window(RowNumber())
        ),
        {"category": ANY, "post": [{"views": "1"}]},
    ),
    "a window in a part of a union": (
        lambda: (
            Post.objects.filter(views=1)
            .values("pk", n=Window(RowNumber()))
            .union(Category.objects.filter(pk=1).values("pk", n=F("pk")))
        ),
        {"post": [{"views": "1"}], "category": [{"id": "1"}]},
    ),
    "a subquery that is not asked for": (
        lambda: Post.objects.filter(pk=1).alias(n=Exists(Tag.objects.filter(pk=1))),
        {"post": [{"id": "1"}]},
    ),
    "a subquery as a value": (
        lambda: Category.objects.filter(pk=1).annotate(
            n=Subquery(Post.objects.filter(category=OuterRef("pk")).values("pk")[:1])
        ),
        {"category": [{"id": "1"}], "post": ANY},
    ),
    "a subquery as a value, of some rows": (
        lambda: Category.objects.filter(pk=1).annotate(
            n=Subquery(Post.objects.filter(category=OuterRef("pk"), visible=True).values("pk")[:1])
        ),
        {"category": [{"id": "1"}], "post": [{"visible": "1"}]},
    ),
    "a subquery in a case": (
        lambda: Category.objects.filter(pk=1).annotate(
            n=Case(When(~Exists(Post.objects.filter(views=1)), then=1), default=2)
        ),
        {"category": [{"id": "1"}], "post": [{"views": "1"}]},
    ),
    "a subquery in an aggregate": (
        lambda: Category.objects.annotate(
            n=Count("posts", filter=Q(posts__in=Post.objects.filter(views=1).values("pk")))
        ).filter(pk=2),
        {"category": [{"id": "2"}], "post": [{"category_id": "2"}, {"views": "1"}]},
    ),
    "a subquery in a filtered relation": (
        lambda: Category.objects.filter(pk=1).annotate(
            seen=FilteredRelation("posts", condition=Q(Exists(Tag.objects.filter(pk=2))))
        ).filter(seen__views=3),
        {"category": [{"id": "1"}], "post": [{"category_id": "1", "views": "3"}], "tag": [{"id": "2"}]},
    ),
    "a subquery that groups": (
        lambda: (
            Post.objects.filter(views=1)
            .annotate(n=Subquery(Tag.objects.filter(pk=2).values("name")[:1]))
            .values("n")
            .annotate(m=Count("pk"))
        ),
        {"post": [{"views": "1"}], "tag": [{"id": "2"}]},
    ),
    "branches of groups": (
        lambda: Post.objects.annotate(n=Count("tags")).filter(Q(views=1, n=2) | Q(views=2, n=3)),
        {"post": [{"views": "1"}, {"views": "2"}], "post_tags": ANY},
    ),
    "branches of all in one group": (
        lambda: Post.objects.filter(Q(Exact(Count("pk"), 2), views=1) | Q(Exact(Count("pk"), 3), views=2)),
        {"post": ANY},
    ),
    "an aggregate of what is around it": (
        lambda: Post.objects.filter(views=1).annotate(
            n=Subquery(Tag.objects.filter(pk=2).annotate(m=Count(OuterRef("pk"))).values("m"))
        ),
        {"post": [{"views": "1"}], "tag": [{"id": "2"}]},
    ),
    "exists over the same table": (
        lambda: Category.objects.filter(Exists(Category.objects.filter(parent=OuterRef("pk"))), pk=1),
        {"category": ANY},
    ),
    "ordering by a subquery": (
        lambda: Category.objects.filter(pk=1).order_by(
            Subquery(Post.objects.filter(category=OuterRef("pk"), visible=True).values("views")[:1])
        ),
        {"category": [{"id": "1"}], "post": [{"visible": "1"}]},
    ),
    "excluding over a relation": (
        lambda: Category.objects.filter(pk=1).exclude(posts__views=1),
        {"category": [{"id": "1"}], "post": [{"views": "1"}]},
    ),
    "excluding over two relations": (
        lambda: Author.objects.filter(pk=1).exclude(edited__category__parent=2),
        {"author": [{"id": "1"}], "post": ANY, "category": [{"parent_id": "2"}]},
    ),
    "not in a subquery": (
        lambda: Post.objects.filter(views=1).exclude(category__in=Category.objects.filter(parent=2)),
        {"post": [{"views": "1"}], "category": [{"parent_id": "2"}]},
    ),
    "a window": (
        lambda: Post.objects.filter(views=1).annotate(n=Window(RowNumber(), order_by="pk")),
        {"post": [{"views": "1"}]},
    ),
    "filtering by a window": (
        lambda: Post.objects.annotate(n=Window(RowNumber(), order_by="pk")).filter(n=1, views=2),
        {"post": [{"views": "2"}]},
    ),
    "filtering by a window in branches": (
        lambda: Post.objects.annotate(n=Window(RowNumber(), order_by="pk")).filter(
            Q(n=1, views=1) | Q(n=2, views=2)
        ),
        {"post": ANY},
    ),
    "filtering by a window in branches, beside others": (
        lambda: Post.objects.annotate(n=Window(RowNumber(), order_by="pk")).filter(
            Q(n=1, views=1) | Q(n=2, views=2), visible=True
        ),
        {"post": [{"visible": "1"}]},
    ),
    "filtering groups by a window": (
        lambda: (
            Post.objects.annotate(n=Count("tags"), m=Window(RowNumber(), order_by="pk"))
            .filter(Q(n=1, visible=True) | Q(n=2, pk=3))
            .filter(m=1)
        ),
        {"post": [{"id": "3"}, {"visible": "1"}], "post_tags": ANY},
    ),
    "ordering by a window": (
        lambda: Post.objects.filter(views=1).order_by(Window(Sum("pk"), frame=RowRange(start=0))),
        {"post": [{"views": "1"}]},
    ),
    "a filtered relation": (
        lambda: Category.objects.filter(pk=1).annotate(
            seen=FilteredRelation("posts", condition=Q(posts__views=1))
        ).filter(seen__pk=3),
        {"category": [{"id": "1"}], "post": [{"category_id": "1", "id": "3"}]},
    ),
    "distinct": (
        lambda: Post.objects.filter(views=1).values("title").distinct(),
        {"post": [{"views": "1"}]},
    ),
    "a slice": (
        lambda: Post.objects.filter(views=1).order_by("title")[2:4],
        {"post": [{"views": "1"}]},
    ),
    "groups": (
        lambda: Post.objects.filter(views=1).values("category").annotate(n=Count("pk")).filter(n__gt=1),
        {"post": [{"views": "1"}]},
    ),
    "an aggregate over a relation": (
        lambda: Category.objects.filter(pk=1).annotate(n=Count("posts")),
        {"category": [{"id": "1"}], "post": [{"category_id": "1"}]},
    ),
    "an aggregate in an or": (
        lambda: Category.objects.annotate(n=Count("posts")).filter(Q(pk=1) | Q(n=2)),
        {"category": ANY, "post": ANY},
    ),
    "comparing columns": (lambda: Post.objects.filter(views=F("pk")), {"post": ANY}),
    "a value as an expression": (lambda: Post.objects.filter(views=Value(1)), {"post": ANY}),
    "a reference to a column": (
        lambda: Post.objects.annotate(v=F("views")).filter(v=1),
        {"post": [{"views": "1"}]},
    ),
    "a part of a column": (lambda: Post.objects.filter(created__year=2024), {"post": ANY}),
    "a float": (lambda: Post.objects.filter(rating=1.0), {"post": ANY}),
    "a long text": (lambda: Post.objects.filter(text="a"), {"post": ANY}),
    "a type of the project's own": (lambda: Everything.objects.filter(tenfold=1), {"everything": ANY}),
    "an address": (lambda: Everything.objects.filter(ip="::1"), {"everything": ANY}),
    "names that differ from the model's": (
        lambda: LegacyNote.objects.filter(pk=1).order_by("legacy__next__label"),
        {"legacynote": [{"id": "1"}], "old_Legacy-table": ANY},
    ),
}  # fmt: skip


@pytest.mark.parametrize("make, expected", NARROWED.values(), ids=NARROWED)
def test_a_table_is_narrowed_to_the_rows_that_can_matter(make: Make, expected: dict[str, Any]) -> None:
    got = found(make())
    assert {t: sorted(map(repr, map(_sorted, c))) for t, c in got.items()} == {
        t: sorted(map(repr, map(_sorted, c))) for t, c in expected.items()
    }


def _sorted(conjunction: dict[str, Any]) -> list[Any]:
    return sorted(conjunction.items())


TEXTS: dict[str, tuple[Make, dict[str, Any]]] = {
    "a text": (lambda: Category.objects.filter(title="a b"), {"category": [{"title": "a b"}]}),
    "a slug": (lambda: Category.objects.filter(slug="a"), {"category": [{"slug": "a"}]}),
    "a key that is a text": (
        lambda: LegacyNote.objects.filter(legacy=Legacy(pk="x")),
        {"legacynote": [{"legacy_id": "x"}]},
    ),
    "a key to a unique text": (
        lambda: LegacyNote.objects.filter(club=Club(pk=1, name="y")),
        {"legacynote": [{"club_name": "y"}]},
    ),
    "other names": (
        lambda: Legacy.objects.filter(pk="x", next__label="y"),
        {"old_Legacy-table": [{"Legacy Code": "x"}, {"lbl": "y"}]},
    ),
}


@pytest.mark.parametrize("make, expected", TEXTS.values(), ids=TEXTS)
def test_texts_narrow_where_the_database_compares_bytes(make: Make, expected: dict[str, Any]) -> None:
    whole = dict.fromkeys(expected, ANY)
    assert found(make()) == (expected if NARROWS_BY_TEXT else whole)


REFUSED: dict[str, tuple[Make, str]] = {
    "extra": (lambda: Post.objects.extra(select={"x": "1"}), "extra()"),
    "extra where": (lambda: Post.objects.extra(where=["1=1"]), "ExtraWhere"),
    "extra ordering": (lambda: Post.objects.extra(order_by=["?"]), "extra()"),
    "extra tables": (lambda: Post.objects.extra(tables=["testapp_tag"]), "extra()"),
    "raw SQL": (lambda: Post.objects.annotate(x=RawSQL("1", ())), "RawSQL"),
    "raw SQL in a filter": (lambda: Post.objects.filter(pk__in=RawSQL("SELECT 1", ())), "RawSQL"),
    "now": (lambda: Post.objects.filter(created__lt=Now()), "Now"),
    "now in a branch": (lambda: Post.objects.filter(Q(pk=1) | Q(created__lt=Now())), "Now"),
    "random": (lambda: Post.objects.annotate(x=Random()), "Random"),
    "random order": (lambda: Post.objects.order_by("?"), 'order_by("?")'),
    "random order inside": (
        lambda: Category.objects.filter(posts__in=Post.objects.order_by("?")[:1]),
        'order_by("?")',
    ),
    "random order as a function": (lambda: Post.objects.order_by(Random()), "Random"),
    "now inside a subquery": (
        lambda: Category.objects.filter(Exists(Post.objects.filter(created__lt=Now()))),
        "Now",
    ),
    "now in a part of a union": (lambda: Post.objects.union(Post.objects.filter(created=Now())), "Now"),
    "now in a window": (
        lambda: Post.objects.annotate(x=Window(Max("views"), partition_by=[Now()])),
        "Now",
    ),
    "now in a filtered relation": (
        lambda: Category.objects.annotate(
            p=FilteredRelation("posts", condition=Q(posts__created__lt=Now()))
        ).filter(p__pk=1),
        "Now",
    ),
    "now in a list": (lambda: Post.objects.filter(created__in=[NOON, Now()]), "Now"),
    "now in a range": (lambda: Post.objects.filter(created__range=(NOON, Now())), "Now"),
    "a function named in place": (
        lambda: Post.objects.annotate(x=Func("title", function="UPPER")),
        "a function that is named in place",
    ),
    "a template in place": (
        lambda: Post.objects.annotate(x=Lower("title", template="clock()")),
        "a function that is named in place",
    ),
}


@pytest.mark.parametrize("make, reason", REFUSED.values(), ids=REFUSED)
def test_what_is_not_understood_is_refused_with_its_reason(make: Make, reason: str) -> None:
    assert reason in refusal(make())


class Clock(Func):
    function = "CLOCK"
    output_field = IntegerField()


class Pure(Func):
    function = "LENGTH"
    output_field = IntegerField()
    cacheops_pure = True


def test_an_expression_of_the_projects_own_is_refused_with_the_remedy() -> None:
    reason = refusal(Post.objects.annotate(x=Clock("title")))
    assert "Clock is not Django's: set cacheops_pure = True" in reason


def test_an_expression_that_says_it_is_pure_is_understood() -> None:
    assert found(Post.objects.filter(views=1).annotate(x=Pure("title"))) == {"post": [{"views": "1"}]}


class Counting(Func):
    template = f"(SELECT COUNT(*) FROM {connection.ops.quote_name('testapp_tag')})"
    output_field = IntegerField()
    cacheops_pure = True


def test_a_table_that_an_expression_names_counts_as_a_whole_wherever_else_it_is_narrowed() -> None:
    tagged = Exists(Tag.objects.filter(pk=1))
    for asked in (Post.objects.filter(tagged, pk=2), Post.objects.filter(tagged, Exists(tagged.query), pk=2)):
        assert found(asked) == {"post": [{"id": "2"}], "tag": [{"id": "1"}]}
        assert found(asked.annotate(n=Counting())) == {"post": [{"id": "2"}], "tag": ANY}


def test_what_says_it_is_pure_does_not_speak_for_its_arguments() -> None:
    assert "Now" in refusal(Post.objects.annotate(x=Pure(Now())))


@isolate_apps("testapp")
@pytest.mark.parametrize("ordering", ["?", Random(), Now().desc()], ids=["?", "Random", "Now"])
def test_a_default_ordering_that_changes_by_itself_is_refused_even_inside(ordering: Any) -> None:
    class Shuffled(models.Model):
        class Meta:
            app_label = "testapp"

    Shuffled._meta.ordering = (ordering,)
    everything = Shuffled._default_manager.all()
    assert "only the database knows" in refusal(everything)
    assert "only the database knows" in refusal(Post.objects.filter(pk__in=everything[:1]))
    assert found(everything.order_by("pk")) == {"shuffled": ANY}


EQUAL: dict[str, list[dict[str, Any]]] = {
    "decimals": [{"price": Decimal("1.5")}, {"price": Decimal("1.50")}, {"price": "1.5"}],
    "a decimal and an integer": [{"price": 2}, {"price": Decimal("2.00")}],
    "one instant": [
        {"moment": NOON},
        {"moment": NOON.astimezone(ZoneInfo("Asia/Tokyo"))},
        {"moment": "2024-05-01T12:00:00Z"},
    ],
    "a UUID and its text": [{"key": ONE}, {"key": str(ONE)}, {"key": ONE.hex}, {"key": str(ONE).upper()}],
    "numbers and truth": [{"integer": 1}, {"integer": True}, {"integer": "1"}, {"integer": 1.0}],
    "truth": [{"boolean": True}, {"boolean": 1}, {"boolean": "True"}, {"boolean": "t"}],
    "a day and its text": [{"on": datetime.date(2024, 5, 1)}, {"on": "2024-05-01"}],
    "times": [{"at": datetime.time(1, 2)}, {"at": "01:02"}, {"at": "01:02:00"}],
}
if NARROWS_BY_TEXT:
    EQUAL["members of an enum and texts"] = [{"color": Color.RED}, {"color": "red"}]


@pytest.mark.parametrize("spellings", EQUAL.values(), ids=EQUAL)
def test_equal_values_are_one_condition(spellings: list[dict[str, Any]]) -> None:
    different = {repr(found(Everything.objects.filter(**spelling))) for spelling in spellings}
    assert len(different) == 1
    assert different != {repr({"everything": ANY})}


def test_a_value_that_the_database_would_round_does_not_narrow() -> None:
    assert found(Everything.objects.filter(price=Decimal("1.555"))) == {"everything": ANY}


def test_conditions_that_contradict_each_other_are_no_reason_to_fail() -> None:
    assert found(Post.objects.filter(views=1).filter(views=2)) == {"post": ANY}


def test_a_query_that_asks_nothing_of_the_database_is_refused() -> None:
    assert "without asking the database" in refusal(Post.objects.filter(pk__in=[]))


@isolate_apps("testapp")
def test_a_collation_of_its_own_keeps_a_column_from_narrowing() -> None:
    class Folded(models.Model):
        name = models.CharField(max_length=10, db_collation="nocase")

        class Meta:
            app_label = "testapp"

    assert found(Folded._default_manager.filter(name="a")) == {"folded": ANY}


@isolate_apps("testapp")
def test_a_field_that_converts_values_its_own_way_does_not_narrow() -> None:
    class Trimmed(models.IntegerField):
        def get_prep_value(self, value: Any) -> Any:
            return super().get_prep_value(value and abs(int(value)))

    class Plain(models.IntegerField):
        """Only named differently."""

    class Numbers(models.Model):
        trimmed = Trimmed()
        plain = Plain()

        class Meta:
            app_label = "testapp"

    assert found(Numbers._default_manager.filter(trimmed=-1)) == {"numbers": ANY}
    assert found(Numbers._default_manager.filter(plain=1)) == {"numbers": [{"plain": "1"}]}


@isolate_apps("testapp")
def test_a_key_that_converts_values_its_own_way_does_not_narrow() -> None:
    class OddKey(models.ForeignKey):
        def get_prep_value(self, value: Any) -> Any:
            return super().get_prep_value(value and abs(int(value)))

    class Holder(models.Model):
        post = OddKey(Post, on_delete=models.CASCADE)

        class Meta:
            app_label = "testapp"

    assert found(Holder._default_manager.filter(post_id=-1)) == {"holder": ANY}


def linked(left: models.Field, right: models.Field, pairs: list[tuple[str, str]]) -> type[models.Model]:
    """Return a model with a relation to another one by pairs of columns of these types."""

    class Owner(models.Model):
        x = right
        y = right.clone()

        class Meta:
            app_label = "testapp"

    class Thing(models.Model):
        x = left
        y = left.clone()
        owner = models.ForeignObject(
            Owner, models.CASCADE, from_fields=[a for a, _ in pairs], to_fields=[b for _, b in pairs], null=True,
            related_name="things",
        )  # fmt: skip

        class Meta:
            app_label = "testapp"

    return Thing


def number(digits: int = 9, places: int = 2) -> models.Field:
    return models.DecimalField(max_digits=digits, decimal_places=places)


LINKED: dict[str, tuple[models.Field, models.Field, bool]] = {
    "one type": (models.IntegerField(), models.IntegerField(), True),
    "whole numbers of two sizes": (models.IntegerField(), models.BigIntegerField(), True),
    "decimals": (number(), number(), True),
    "decimals that may be rounded": (number(), number(places=1), False),
    "numbers of two kinds": (number(), models.IntegerField(), False),
    "numbers and truth": (models.IntegerField(), models.BooleanField(), False),
    "a type that does not narrow": (models.IntegerField(), models.FloatField(), False),
}
if NARROWS_BY_TEXT:
    LINKED |= {
        "texts": (models.CharField(max_length=5), models.CharField(max_length=5), True),
        "texts that may be cut off": (models.CharField(max_length=5), models.CharField(max_length=4), False),
    }


@isolate_apps("testapp")
@pytest.mark.parametrize("left, right, is_carried", LINKED.values(), ids=LINKED)
def test_a_condition_passes_through_a_join_of_columns_of_one_type(
    left: models.Field, right: models.Field, is_carried: bool
) -> None:
    thing = linked(left, right, [("x", "x")])
    asked = found(thing._default_manager.filter(x=1).select_related("owner"))
    assert asked == {"thing": [{"x": "1"}], "owner": [{"x": "1"}] if is_carried else ANY}


@isolate_apps("testapp")
def test_conditions_that_keep_an_outer_join_from_joining_leave_the_row_that_it_joins_to() -> None:
    thing = linked(models.IntegerField(), models.IntegerField(), [("x", "y"), ("y", "y")])
    asked = found(thing._default_manager.filter(x=1, y=2).select_related("owner"))
    assert asked == {"thing": [{"x": "1", "y": "2"}], "owner": [{"y": "1"}]}


@isolate_apps("testapp")
def test_a_table_in_a_schema_that_is_named_like_a_table_counts() -> None:
    class Shelf(models.Model):
        class Meta:
            app_label = "testapp"
            db_table = "shop"

    class Item(models.Model):
        shelf = models.ForeignKey(Shelf, on_delete=models.CASCADE)

        class Meta:
            app_label = "testapp"
            db_table = connection.ops.quote_name("shop.item").strip('"`').replace(".", '"."')

    if connection.vendor == "mysql":
        Item._meta.db_table = "shop`.`item"
    queryset = Shelf._default_manager.filter(Exists(Item._default_manager.filter(shelf=OuterRef("pk"))))
    assert found(queryset).keys() == {"shop", Item._meta.db_table}


def test_a_column_that_stands_after_from_is_no_table() -> None:
    assert found(Post.objects.filter(created__year__in=[2024], created__week_day=1)).keys() == {"post"}


@override_settings(CACHEOPS_SKIP_FIELDS=["IntegerField"])
def test_types_of_fields_that_the_settings_skip_do_not_narrow() -> None:
    assert found(Post.objects.filter(views=1, visible=True)) == {"post": [{"visible": "1"}]}


@override_settings(CACHEOPS_LONG_DISJUNCTION=2)
def test_the_settings_say_how_long_a_list_may_be() -> None:
    assert found(Post.objects.filter(views__in=[1, 2, 3])) == {"post": ANY}
    assert found(TokenUse.objects.filter(token__in=[ONE, ONE])) == {"tokenuse": [{"token_id": str(ONE)}]}


@pytest.mark.parametrize("make", [make for make, _ in NARROWED.values()], ids=NARROWED)
def test_looking_at_a_query_leaves_its_sql_as_it_is(make: Make) -> None:
    query = make().query
    sql = str(query)
    assert dependencies(query, "default") == dependencies(make().query, "default")
    assert str(query) == sql == str(make().query)
    assert examine(query, "default").sql == make().query.get_compiler("default").as_sql()[0]
