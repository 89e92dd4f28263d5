"""Equal keys imply equal SQL, equal typed parameters and equal results; equal code gives equal keys."""

import datetime
import enum
import os
import subprocess
import sys
import zoneinfo
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import shapes
from django.core.exceptions import EmptyResultSet
from django.db.models import (
    BooleanField,
    CharField,
    Count,
    DecimalField,
    F,
    Func,
    IntegerField,
    Lookup,
    Max,
    Q,
    QuerySet,
    Sum,
    Value,
)
from django.db.models.expressions import RawSQL
from django.db.models.functions import Lower, TruncDay
from django.test import override_settings
from django.utils import timezone
from django.utils.safestring import mark_safe
from testapp.fields import ScaledField
from testapp.models import (
    Author,
    Category,
    Color,
    Event,
    Everything,
    Place,
    Post,
    Restaurant,
    StarredPlace,
    Tag,
)

from cacheops_core.errors import CacheopsError
from cacheops_django import fingerprints
from cacheops_django.fingerprints import Unfingerprintable, fingerprint

pytestmark = pytest.mark.django_db

Make = Callable[[], "QuerySet[Any, Any]"]


def key(queryset: Any, op: Any = "fetch", using: str = "default") -> bytes:
    return fingerprint(queryset.query, using, op, queryset.model, queryset._iterable_class)


@pytest.fixture
def no_compiling(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> None:
        pytest.fail("the query was compiled")

    monkeypatch.setattr(fingerprints, "_compiled", refuse)


@pytest.mark.usefixtures("no_compiling")
@pytest.mark.parametrize("make", shapes.SHAPES.values(), ids=shapes.SHAPES)
def test_an_ordinary_query_needs_no_compiling(make: Make) -> None:
    assert key(make())


@pytest.mark.parametrize("make", shapes.SHAPES.values(), ids=shapes.SHAPES)
def test_the_same_query_built_again_has_the_same_key(make: Make) -> None:
    assert key(make()) == key(make())


def test_different_shapes_have_different_keys() -> None:
    same = {"in a set of numbers", "of one instance"}  # as "in a list" and "by instance"
    keys = {key(make()) for name, make in shapes.SHAPES.items() if name not in same}
    assert len(keys) == len(shapes.SHAPES) - len(same)


@pytest.mark.parametrize("make", shapes.SHAPES.values(), ids=shapes.SHAPES)
def test_asking_for_the_key_leaves_the_query_as_it_is(make: Make) -> None:
    untouched, asked = make(), make()
    key(asked)
    assert compiled(asked) == compiled(untouched)


def compiled(queryset: Any) -> Any:
    try:
        sql, params = queryset.query.clone().get_compiler("default").as_sql()
    except EmptyResultSet:
        return None
    # Not the parameters themselves: what psycopg wraps them in compares by identity. Nor where views of bytes stand.
    return sql, [bytes(param) if isinstance(param, memoryview) else repr(param) for param in params]


@pytest.mark.parametrize(
    "name", ["all", "by pk", "counted", "functions", "case", "values", "exists", "union", "json", "window"]
)
def test_running_a_query_does_not_change_its_key(name: str) -> None:
    queryset = shapes.SHAPES[name]()
    before = key(queryset)
    list(queryset)
    assert key(queryset) == before


def test_keys_do_not_depend_on_the_hash_seed() -> None:
    assert keys_in_process_of_seed("1") == keys_in_process_of_seed("2")


def keys_in_process_of_seed(seed: str) -> str:
    code = (
        "import django; django.setup()\n"
        "import hashlib, shapes, test_fingerprints as t\n"
        "for name, make in shapes.SHAPES.items():\n"
        "    print(name, hashlib.blake2b(t.key(make())).hexdigest())\n"
    )
    environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert len(done.stdout.splitlines()) == len(shapes.SHAPES)
    return done.stdout


UTC = datetime.UTC
NOON = datetime.datetime(2024, 5, 1, 12, tzinfo=UTC)
AMSTERDAM = zoneinfo.ZoneInfo("Europe/Amsterdam")


class Grade(enum.IntEnum):
    ONE = 1


VALUES = {
    "integer": 1,
    "truth": True,
    "float": 1.0,
    "text": "1",
    "bytes": b"1",
    "bytearray": bytearray(b"1"),
    "none": None,
    "decimal": Decimal(1),
    "decimal of other precision": Decimal("1.0"),
    "enum member": Grade.ONE,
    "marked text": mark_safe("1"),
    "choice": Color.RED,
    "text of the choice": "red",
    "list": [1],
    "tuple": (1,),
    "list of a list": [[1]],
    "list of truths": [True],
    "set": {1},
    "mapping": {"a": 1},
    "mapping of truth": {"a": True},
    "date": NOON.date(),
    "text of the date": "2024-05-01",
    "moment": NOON,
    "moment in another zone": NOON.astimezone(AMSTERDAM),
    "naive moment": NOON.replace(tzinfo=None),
    "time": NOON.time(),
    "duration": datetime.timedelta(seconds=1),
    "longer duration": datetime.timedelta(days=1),
    "form of a decimal": ("decimal", "1"),
}


def test_values_of_different_types_have_different_keys() -> None:
    keys = {key(Everything.objects.filter(data=value)) for value in VALUES.values()}
    assert len(keys) == len(VALUES)


def test_a_value_and_its_type_are_in_the_key_of_an_annotation() -> None:
    values = [value for name, value in VALUES.items() if name not in {"set"}]
    keys = {key(Post.objects.annotate(x=Value(value, output_field=CharField()))) for value in values}
    assert len(keys) == len(values)


class Plain(Func):
    """A function of a project."""

    function = "LOWER"


class Times(Func):
    """A function whose factor is seen in the result only."""

    function = "ABS"
    output_field = IntegerField()

    def __init__(self, *expressions: Any, factor: int = 1, **extra: Any) -> None:
        super().__init__(*expressions, **extra)
        self.factor = factor

    def convert_value(self, value: Any, expression: Any, connection: Any) -> Any:
        return value * self.factor


class Undeclared(IntegerField):
    """A field that does not tell Django about its argument."""

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor


def local_function(factor: int) -> Func:
    class Local(Func):
        function = "ABS"

        def convert_value(self, value: Any, expression: Any, connection: Any) -> Any:
            return value * factor

    return Local("views", output_field=IntegerField())


def with_output_field(expression: Any, field: Any) -> Any:
    expression.output_field = field
    return expression


def column_of_views(output_field: Any) -> Any:
    return Post._meta.get_field("views").get_col("testapp_post", output_field)


PAIRS: dict[str, tuple[Make, Make]] = {
    "value": (lambda: Post.objects.filter(pk=1), lambda: Post.objects.filter(pk=2)),
    "column": (lambda: Post.objects.filter(pk=1), lambda: Post.objects.filter(views=1)),
    "lookup": (lambda: Post.objects.filter(views__gt=1), lambda: Post.objects.filter(views__gte=1)),
    "negation": (lambda: Post.objects.filter(pk=1), lambda: Post.objects.exclude(pk=1)),
    "connector": (
        lambda: Post.objects.filter(Q(pk=1) | Q(views=1)),
        lambda: Post.objects.filter(Q(pk=1) & Q(views=1)),
    ),
    "negated alternative": (
        lambda: Post.objects.filter(Q(pk=1) | Q(views=1)),
        lambda: Post.objects.filter(~(Q(pk=1) | Q(views=1))),
    ),
    "order of conditions": (
        lambda: Post.objects.filter(pk=1).filter(views=1),
        lambda: Post.objects.filter(views=1).filter(pk=1),
    ),
    "order of a list": (
        lambda: Post.objects.filter(pk__in=[1, 2]),
        lambda: Post.objects.filter(pk__in=[2, 1]),
    ),
    "proxy": (lambda: Place.objects.filter(stars__gt=0), StarredPlace.objects.all),
    "child": (lambda: Place.objects.filter(restaurant=1), lambda: Restaurant.objects.filter(pk=1)),
    "values or tuples": (lambda: Post.objects.values("pk"), lambda: Post.objects.values_list("pk")),
    "flat": (lambda: Post.objects.values_list("pk"), lambda: Post.objects.values_list("pk", flat=True)),
    "named": (lambda: Post.objects.values_list("pk"), lambda: Post.objects.values_list("pk", named=True)),
    "order of columns": (
        lambda: Post.objects.values_list("pk", "views"),
        lambda: Post.objects.values_list("views", "pk"),
    ),
    "names of values": (lambda: Post.objects.values(a=F("title")), lambda: Post.objects.values(b=F("title"))),
    "names of values in a union": (
        lambda: Post.objects.values(a=F("title")).union(Tag.objects.values("name")),
        lambda: Post.objects.values(b=F("title")).union(Tag.objects.values("name")),
    ),
    "name of a key in a union": (
        lambda: Post.objects.values("category").union(Post.objects.values("pk")),
        lambda: Post.objects.values("category_id").union(Post.objects.values("pk")),
    ),
    "name of an annotation": (
        lambda: Post.objects.annotate(a=Lower("title")),
        lambda: Post.objects.annotate(b=Lower("title")),
    ),
    "output field": (
        lambda: Post.objects.annotate(x=Value(1, output_field=IntegerField())),
        lambda: Post.objects.annotate(x=Value(1, output_field=BooleanField())),
    ),
    "output field given afterwards": (
        lambda: Post.objects.annotate(x=with_output_field(Sum("views"), IntegerField())),
        lambda: Post.objects.annotate(x=with_output_field(Sum("views"), CharField())),
    ),
    "output field of a column": (
        lambda: Post.objects.annotate(x=column_of_views(CharField())),
        lambda: Post.objects.annotate(x=column_of_views(BooleanField())),
    ),
    "argument of the output field": (
        lambda: Post.objects.annotate(x=Sum("views", output_field=DecimalField(decimal_places=1))),
        lambda: Post.objects.annotate(x=Sum("views", output_field=DecimalField(decimal_places=2))),
    ),
    "argument of a project's field": (
        lambda: Post.objects.annotate(x=Sum("views", output_field=ScaledField(factor=2))),
        lambda: Post.objects.annotate(x=Sum("views", output_field=ScaledField(factor=3))),
    ),
    "argument that a field does not declare": (
        lambda: Post.objects.annotate(x=Sum("views", output_field=Undeclared(2))),
        lambda: Post.objects.annotate(x=Sum("views", output_field=Undeclared(3))),
    ),
    "output field of a project's function": (
        lambda: Post.objects.annotate(x=Plain("views", output_field=IntegerField())),
        lambda: Post.objects.annotate(x=Plain("views", output_field=CharField())),
    ),
    "argument of a project's function": (
        lambda: Post.objects.annotate(x=Times("views", factor=2)),
        lambda: Post.objects.annotate(x=Times("views", factor=3)),
    ),
    "argument of a function within Django's": (
        lambda: Post.objects.annotate(x=Max(Times("views", factor=2))),
        lambda: Post.objects.annotate(x=Max(Times("pk", factor=2))),
    ),
    "converter of the column": (
        lambda: Everything.objects.values_list("single"),
        lambda: Everything.objects.values_list("tenfold"),
    ),
    "parameter beside raw SQL": (
        lambda: Post.objects.annotate(x=RawSQL("1", ())).filter(text="1"),
        lambda: Post.objects.annotate(x=RawSQL("1", ())).filter(text="2"),
    ),
    "type of a parameter of raw SQL": (
        lambda: Post.objects.annotate(x=RawSQL("%s", (1,))),
        lambda: Post.objects.annotate(x=RawSQL("%s", (True,))),
    ),
    "only or defer": (
        lambda: Post.objects.only("title", "text"),
        lambda: Post.objects.defer("title", "text"),
    ),
    "deferred": (lambda: Post.objects.defer("title"), Post.objects.all),
    "related": (lambda: Post.objects.select_related("category"), Post.objects.all),
    "deeper related": (
        lambda: Post.objects.select_related("category"),
        lambda: Post.objects.select_related("category__parent"),
    ),
    "slice": (lambda: Post.objects.all()[:1], lambda: Post.objects.all()[:2]),
    "offset": (lambda: Post.objects.all()[1:2], lambda: Post.objects.all()[:2]),
    "ordering": (lambda: Post.objects.order_by("pk"), lambda: Post.objects.order_by("-pk")),
    "no ordering": (Event.objects.order_by, Event.objects.all),
    "reversed": (Event.objects.reverse, Event.objects.all),
    "place of nulls": (
        lambda: Post.objects.order_by(F("rating").asc(nulls_first=True)),
        lambda: Post.objects.order_by(F("rating").asc(nulls_last=True)),
    ),
    "spelling of an order": (
        lambda: Post.objects.annotate(x=Lower("title")).order_by(Lower("title")),
        lambda: Post.objects.annotate(x=Lower("title")).order_by(Lower(F("title"))),
    ),
    "distinct": (lambda: Post.objects.values("views").distinct(), lambda: Post.objects.values("views")),
    "union all": (
        lambda: Post.objects.union(Post.objects.filter(pk=1)),
        lambda: Post.objects.union(Post.objects.filter(pk=1), all=True),
    ),
    "inside a union": (
        lambda: Post.objects.union(Post.objects.filter(pk=1)),
        lambda: Post.objects.union(Post.objects.filter(pk=2)),
    ),
    "inside a subquery": (
        lambda: Post.objects.filter(category__in=Category.objects.filter(title="a")),
        lambda: Post.objects.filter(category__in=Category.objects.filter(title="b")),
    ),
    "filter of an aggregate": (
        lambda: Category.objects.annotate(n=Count("posts", filter=Q(posts__pk=1))),
        lambda: Category.objects.annotate(n=Count("posts", filter=Q(posts__pk=2))),
    ),
    "path of a join": (
        lambda: Author.objects.filter(follows__name="a"),
        lambda: Author.objects.filter(followers__name="a"),
    ),
    "joins shared or not": (
        lambda: Post.objects.filter(tags__name="a", tags__pk=1),
        lambda: Post.objects.filter(tags__name="a").filter(tags__pk=1),
    ),
    "grouping": (
        lambda: Post.objects.values("views").annotate(n=Count("pk")),
        lambda: Post.objects.annotate(n=Count("pk")).values("views", "n"),
    ),
    "lock": (Post.objects.select_for_update, Post.objects.all),
    "zone of a function": (
        lambda: Post.objects.annotate(x=TruncDay("created", tzinfo=UTC)),
        lambda: Post.objects.annotate(x=TruncDay("created", tzinfo=AMSTERDAM)),
    ),
}


@pytest.mark.parametrize("one, other", PAIRS.values(), ids=PAIRS)
def test_what_differs_has_different_keys(one: Make, other: Make) -> None:
    assert key(one()) != key(other())
    assert key(one()) == key(one())
    assert key(other()) == key(other())


def test_databases_are_apart() -> None:
    assert key(Post.objects.all(), using="default") != key(Post.objects.all(), using="other")


def test_what_is_asked_is_in_the_key() -> None:
    ops = [
        "fetch",
        "count",
        ("aggregate", (("n", Sum("views")),)),
        ("aggregate", (("m", Sum("views")),)),
        ("aggregate", (("n", Sum("pk")),)),
        ("aggregate", (("n", Sum("views", filter=Q(pk__in={1, 2}))),)),
        ("aggregate", (("n", Sum("views", filter=Q(category=Category(pk=1)))),)),
        ("aggregate", (("n", Sum("views", filter=Q(category__in=Category.objects.filter(pk=1)))),)),
    ]
    assert len({key(Post.objects.all(), op) for op in ops}) == len(ops)


def test_what_the_caller_adds_is_in_the_key() -> None:
    query = Post.objects.all().query
    keys = {
        fingerprint(query, "default", "fetch", Post, list, extra) for extra in [(), (1,), (True,), ("1",)]
    }
    assert len(keys) == 4


@pytest.mark.parametrize(
    "make",
    [
        lambda: Post.objects.filter(created__year=2024),
        lambda: Post.objects.filter(created__date=NOON.date()),
        lambda: Post.objects.filter(created__hour__gt=3),
        lambda: Post.objects.annotate(x=TruncDay("created")),
    ],
    ids=["year", "date", "hour", "truncated"],
)
def test_the_current_zone_is_in_the_key_where_sql_has_it(make: Make) -> None:
    here = key(make())
    with timezone.override("Asia/Tokyo"):
        assert key(make()) != here


def test_the_current_zone_is_not_in_other_keys() -> None:
    here = key(Post.objects.filter(created=NOON))
    with timezone.override("Asia/Tokyo"):
        assert key(Post.objects.filter(created=NOON)) == here


def test_the_order_of_a_set_is_not_in_the_key() -> None:
    # Zero and eight fall on one place of a small set: whichever came first is first.
    one, other = {0, 8}, {8, 0}
    assert list(one) != list(other)
    ops = [("aggregate", Sum("views", filter=Q(views__in=values))) for values in (one, other)]
    assert key(Post.objects.all(), ops[0]) == key(Post.objects.all(), ops[1])


def test_the_settings_of_time_are_in_the_key() -> None:
    aware = key(Post.objects.all())
    with override_settings(USE_TZ=False):
        assert key(Post.objects.all()) != aware
    with override_settings(TIME_ZONE="Asia/Tokyo"):
        assert key(Post.objects.all()) != aware
    assert key(Post.objects.all()) == aware


class Near(Lookup):
    """A lookup of a project."""

    lookup_name = "near"

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        sql, params = self.process_lhs(compiler, connection)
        return f"abs({sql} - %s) < 2", (*params, self.rhs)


def test_a_query_with_a_part_of_the_project_s_own_has_a_key() -> None:
    near = [Post.objects.annotate(x=F("views")).filter(Near(F("views"), number)) for number in (1, 2, True)]
    again = Post.objects.annotate(x=F("views")).filter(Near(F("views"), 1))
    assert len(set(map(key, near))) == 3
    assert key(again) == key(near[0])


@pytest.mark.parametrize("name", ["moments", "numbers", "other types", "json", "uuid key"])
def test_compiled_parameters_of_every_type_give_a_key(name: str) -> None:
    def make() -> Any:
        return shapes.SHAPES[name]().annotate(x=Plain(Value("a")))

    assert key(make()) == key(make())


def test_a_query_that_finds_nothing_and_cannot_be_walked_has_no_key() -> None:
    nothing = Post.objects.annotate(x=Plain("title")).filter(pk__in=[])
    with pytest.raises(Unfingerprintable, match="empty"):
        key(nothing)


def test_a_parameter_of_unknown_type_leaves_a_query_without_key() -> None:
    class Strange:
        pass

    with pytest.raises(Unfingerprintable, match="Strange"):
        key(Post.objects.filter(Near(F("views"), Strange())))


def test_an_expression_that_its_name_does_not_identify_leaves_a_query_without_key() -> None:
    with pytest.raises(Unfingerprintable, match="top level"):
        key(Post.objects.annotate(x=local_function(2)))


def test_a_query_that_does_not_compile_has_no_key() -> None:
    wrong = Post.objects.annotate(x=Plain("title")).order_by("x__y")
    with pytest.raises(Unfingerprintable, match="does not compile"):
        key(wrong)


def test_no_key_is_an_error_of_ours() -> None:
    assert issubclass(Unfingerprintable, CacheopsError)
    assert Unfingerprintable("why").reason == "why"


def test_a_generic_relation_is_keyed_with_its_content_type() -> None:
    from django.contrib.contenttypes.models import ContentType

    before = key(Post.objects.filter(labels__text="a"))
    ContentType.objects.get_for_model(Post).delete()
    ContentType.objects.clear_cache()
    ContentType.objects.create(app_label="x", model="y")
    assert key(Post.objects.filter(labels__text="a")) != before


def test_a_changed_copy_of_a_model_s_field_is_not_taken_for_it() -> None:
    import copy

    field = copy.copy(Everything._meta.get_field("single"))
    field.undeclared = 5
    original = Everything.objects.annotate(x=Sum("single", output_field=Everything._meta.get_field("single")))
    changed = Everything.objects.annotate(x=Sum("single", output_field=field))
    assert key(original) != key(changed)
