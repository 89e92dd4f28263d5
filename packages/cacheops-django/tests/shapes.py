"""Querysets of every ordinary shape, by name, each built anew at every call."""

import datetime
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from django.db.models import (
    Avg,
    BooleanField,
    Case,
    CharField,
    Count,
    DecimalField,
    Exists,
    ExpressionWrapper,
    F,
    FilteredRelation,
    FloatField,
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
from django.db.models.functions import (
    Cast,
    Coalesce,
    Concat,
    Length,
    Lower,
    Rank,
    RowNumber,
    Substr,
    TruncMonth,
    Upper,
)
from testapp.models import (
    Author,
    Box,
    Category,
    City,
    Club,
    Color,
    Event,
    Everything,
    Legacy,
    LegacyNote,
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

UTC = datetime.UTC
NOON = datetime.datetime(2024, 5, 1, 12, tzinfo=UTC)


def _latest_title() -> Subquery:
    return Subquery(Post.objects.filter(category=OuterRef("pk")).order_by("-created").values("title")[:1])


def _union() -> QuerySet[Any, Any]:
    return Post.objects.filter(views__gt=1).union(Post.objects.filter(views__lte=1))


SHAPES: dict[str, Callable[[], QuerySet[Any, Any]]] = {
    "all": Post.objects.all,
    "by pk": lambda: Post.objects.filter(pk=1),
    "by instance": lambda: Post.objects.filter(category=Category(pk=1)),
    "in a list": lambda: Post.objects.filter(views__in=[1, 2, 3]),
    "in a set of numbers": lambda: Post.objects.filter(views__in={1, 2, 3}),
    "text lookups": lambda: Post.objects.filter(title__icontains="a", text__startswith="b", title__regex="c"),
    "range and null": lambda: Post.objects.filter(views__range=(1, 5), editor__isnull=True),
    "tree of conditions": lambda: Post.objects.filter(~Q(views=1) | Q(visible=True) & (Q(pk=1) ^ Q(pk=2))),
    "exclude over a join": lambda: Post.objects.exclude(tags__name="a"),
    "many to many": lambda: Post.objects.filter(tags__name="a").filter(tags__name="b"),
    "reverse key": lambda: Category.objects.filter(posts__title="a").distinct(),
    "nullable key": lambda: Post.objects.filter(editor__name="a", category__parent__title="b"),
    "to itself": lambda: Author.objects.filter(follows__followers__name="a"),
    "one to one": lambda: Author.objects.select_related("profile").filter(profile__motto="a"),
    "page": lambda: (
        Post.objects.filter(visible=True).select_related("category").order_by("-created", "pk")[20:40]
    ),
    "deep select_related": lambda: Post.objects.select_related("category__parent", "editor"),
    "only": lambda: Post.objects.only("title", "category"),
    "defer": lambda: Post.objects.select_related("category").defer("text", "category__slug"),
    "values": lambda: Post.objects.values("title", "category__title"),
    "named values": lambda: Post.objects.values_list("title", "views", named=True),
    "flat values": lambda: Post.objects.values_list("pk", flat=True),
    "values of expressions": lambda: Post.objects.values("pk", low=Lower("title")),
    "counted": lambda: (
        Category.objects.annotate(n=Count("posts", distinct=True)).filter(n__gt=1).order_by("-n", "pk")
    ),
    "grouped": lambda: (
        Post.objects.values("category").annotate(n=Count("pk"), best=Max("rating")).order_by("n", "category")
    ),
    "filtered aggregate": lambda: Category.objects.annotate(n=Count("posts", filter=Q(posts__views__gt=1))),
    "default of an aggregate": lambda: Category.objects.annotate(n=Sum("posts__views", default=0)),
    "functions": lambda: Post.objects.annotate(
        a=Concat(Lower("title"), Value("-"), Upper(Substr("text", 1, 3))),
        b=Length("title"),
        c=Coalesce("rating", 0.0),
    ),
    "arithmetic": lambda: Post.objects.annotate(x=F("views") * 2 + F("pk")).filter(x__gt=F("views") % 3),
    "case": lambda: Post.objects.annotate(
        x=Case(
            When(views__gt=1, then=Value("many")), When(Q(visible=False), then="title"), default=Value("few")
        )
    ),
    "cast": lambda: Post.objects.annotate(
        x=Cast("views", FloatField()), y=Cast("views", CharField(max_length=5))
    ),
    "wrapped": lambda: Everything.objects.annotate(
        x=ExpressionWrapper(
            F("price") * F("integer"), output_field=DecimalField(max_digits=12, decimal_places=2)
        )
    ),
    "condition as value": lambda: Post.objects.annotate(
        x=ExpressionWrapper(Q(views__gt=1), output_field=BooleanField())
    ),
    "window": lambda: Post.objects.annotate(
        x=Window(RowNumber(), partition_by=["category"], order_by=F("views").desc()),
        y=Window(Sum("views"), order_by="created", frame=RowRange(start=-1, end=0)),
        z=Window(Rank(), order_by=["-views"]),
    ),
    "subquery": lambda: Category.objects.annotate(latest=_latest_title()),
    "subquery in a filter": lambda: Post.objects.filter(category__in=Category.objects.filter(title="a")),
    "subquery of values": lambda: Post.objects.filter(
        views=Post.objects.order_by("-views").values("views")[:1]
    ),
    "exists": lambda: Category.objects.filter(
        Exists(Post.objects.filter(category=OuterRef("pk"), visible=True))
    ),
    "not exists": lambda: Category.objects.filter(~Exists(Post.objects.filter(category=OuterRef("pk")))),
    "exists as value": lambda: Post.objects.annotate(
        x=Exists(Tag.objects.filter(posts=OuterRef("pk"), name=OuterRef("title")))
    ),
    "nested subqueries": lambda: Category.objects.filter(
        Exists(
            Post.objects.filter(
                Exists(Tag.objects.filter(posts=OuterRef("pk"), name=OuterRef(OuterRef("title")))),
                category=OuterRef("pk"),
            )
        )
    ),
    "filtered relation": lambda: Category.objects.annotate(
        seen=FilteredRelation("posts", condition=Q(posts__views__gt=1))
    ).filter(seen__title="a"),
    "alias": lambda: Post.objects.alias(n=Length("title")).filter(n__gt=3),
    "expression ordering": lambda: Post.objects.annotate(x=Lower("title")).order_by(
        F("rating").desc(nulls_last=True), Lower("title"), "x"
    ),
    "ordering over a join": lambda: Post.objects.order_by("category__title", "category"),
    "reversed": Event.objects.reverse,
    "default ordering": Event.objects.all,
    "distinct": lambda: Post.objects.values("title").distinct(),
    "union": lambda: (
        Post.objects.filter(pk=1).union(Post.objects.filter(pk=2), all=True).order_by("title")[:5]
    ),
    "union of values": lambda: Post.objects.values("title", "views").union(Tag.objects.values("name", "pk")),
    "ordered union of dictionaries": lambda: _union().values("title").order_by("-pk"),
    "ordered union of tuples": lambda: _union().values_list("title").order_by("-pk"),
    "ordered union of flat values": lambda: _union().values_list("title", flat=True).order_by("-pk"),
    "ordered union of named tuples": lambda: _union().values_list("title", named=True).order_by("-pk"),
    "difference": lambda: Post.objects.difference(Post.objects.filter(visible=True)),
    "date parts": lambda: Post.objects.filter(created__year=2024, created__date=datetime.date(2024, 5, 1)),
    "dates": lambda: Event.objects.dates("on", "month"),
    "datetimes": lambda: Post.objects.datetimes("created", "day", tzinfo=UTC),
    "truncated": lambda: (
        Post.objects.annotate(m=TruncMonth("created", tzinfo=UTC)).values("m").annotate(n=Avg("rating"))
    ),
    "moments": lambda: Everything.objects.filter(
        moment__gt=NOON, on=datetime.date(2024, 1, 1), at=datetime.time(1, 2), took=datetime.timedelta(1)
    ),
    "numbers": lambda: Everything.objects.filter(
        price=Decimal("1.50"), number=1.5, small=1, big=2**40, rate__gt=1
    ),
    "other types": lambda: Everything.objects.filter(
        key=uuid.UUID(int=1), blob=b"a", ip="127.0.0.1", boolean=True, color=Color.RED, words=["a", "b"]
    ),
    "json": lambda: Everything.objects.filter(data__a__0="x", data={"k": [1, True, None]}, data__has_key="q"),
    "child of a table": lambda: Restaurant.objects.filter(name="a", cuisine="b"),
    "grandchild": lambda: Pizzeria.objects.filter(stars=1, city__name="a"),
    "parent by its child": lambda: Place.objects.filter(restaurant__pizzeria__ovens=1),
    "proxy": StarredPlace.objects.all,
    "uuid key": lambda: TokenUse.objects.filter(token=uuid.UUID(int=1)),
    "uuid keys": lambda: Token.objects.filter(pk__in=[uuid.UUID(int=1), uuid.UUID(int=2)]),
    "composite key": lambda: Seat.objects.filter(pk=(1, 2)),
    "composite keys": lambda: Seat.objects.filter(pk__in=[(1, 2), (1, 3)]).order_by("pk"),
    "generated": lambda: Box.objects.filter(area=6),
    "other manager": lambda: City.rows.filter(name="a"),
    "other names": lambda: Legacy.objects.filter(next__label="a"),
    "key to a unique column": lambda: LegacyNote.objects.filter(club=Club(pk=1, name="a"), club__pk=1),
    "nothing": Post.objects.none,
    "of one instance": Category(pk=1).posts.all,
    "of one instance, many to many": Post(pk=1).tags.all,
    "typed value": lambda: Post.objects.annotate(x=Value(1, output_field=IntegerField())),
}
