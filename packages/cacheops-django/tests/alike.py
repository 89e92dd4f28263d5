"""Questions that differ in their values only: what makes them, and two values."""

import datetime
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from django.db.models import Count, Q, QuerySet, Window
from django.db.models.functions import RowNumber
from testapp.models import Event, Everything, Membership, Pizzeria, Post, StarredPlace, TokenUse

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
