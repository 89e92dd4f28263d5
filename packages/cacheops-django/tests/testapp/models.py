"""Models of every kind that the package has to understand, each no larger than its kind needs."""

import uuid
from typing import Any, ClassVar

from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.db import models

from .fields import ScaledField, ShoutedField, WordsField


class Color(models.TextChoices):
    RED = "red"
    GREEN = "green"
    BLUE = "blue"


class Size(models.IntegerChoices):
    SMALL = 1
    LARGE = 2


class Tag(models.Model):
    """A plain model."""

    name = models.CharField(max_length=50)


class Category(models.Model):
    """A tree: a nullable key to itself."""

    title = models.CharField(max_length=50)
    slug = models.SlugField(default="", db_index=True)
    parent = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.CASCADE, related_name="children"
    )


class Post(models.Model):
    """Keys that are required and nullable, and a many-to-many table of Django's own making."""

    title = models.CharField(max_length=100)
    text = models.TextField(default="")
    views = models.IntegerField(default=0)
    visible = models.BooleanField(default=True)
    rating = models.FloatField(null=True)
    created = models.DateTimeField(null=True)
    category = models.ForeignKey(Category, on_delete=models.CASCADE, related_name="posts")
    editor = models.ForeignKey("Author", null=True, on_delete=models.SET_NULL, related_name="edited")
    tags = models.ManyToManyField(Tag, related_name="posts")
    labels = GenericRelation("Label")


class Author(models.Model):
    """Followed by others of its kind (not symmetrical), and with a membership table of the project's own."""

    name = models.CharField(max_length=50)
    follows: ClassVar[Any] = models.ManyToManyField("self", symmetrical=False, related_name="followers")
    clubs: ClassVar[Any] = models.ManyToManyField("Club", through="Membership", related_name="members")


class Club(models.Model):
    name = models.CharField(max_length=50, unique=True)


class Membership(models.Model):
    """The table behind a many-to-many relation, with a column more."""

    author = models.ForeignKey(Author, on_delete=models.CASCADE)
    club = models.ForeignKey(Club, on_delete=models.CASCADE)
    since = models.DateField(null=True)


class Profile(models.Model):
    """One to one."""

    author = models.OneToOneField(Author, on_delete=models.CASCADE, related_name="profile")
    motto = models.CharField(max_length=100, default="")


class Place(models.Model):
    """The parent of a chain of three tables."""

    name = models.CharField(max_length=50)
    stars = models.IntegerField(default=0)


class Restaurant(Place):
    cuisine = models.CharField(max_length=50, default="")
    city = models.ForeignKey("City", null=True, on_delete=models.SET_NULL)


class Pizzeria(Restaurant):
    ovens = models.IntegerField(default=1)


class StarredManager(models.Manager["Place"]):
    def get_queryset(self) -> "models.QuerySet[Place]":
        return super().get_queryset().filter(stars__gt=0)


class StarredPlace(Place):
    """A proxy whose manager sees a part of the rows."""

    objects = StarredManager()

    class Meta:
        proxy = True


class Dated(models.Model):
    """An abstract base."""

    on = models.DateField(null=True)
    at = models.TimeField(null=True)

    class Meta:
        abstract = True
        ordering = ("on",)


class Event(Dated):
    """Ordered by default, through its base."""

    title = models.CharField(max_length=50)
    took = models.DurationField(null=True)

    class Meta(Dated.Meta):
        get_latest_by = "on"


class Token(models.Model):
    """Known by a UUID."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    name = models.CharField(max_length=50, default="")


class TokenUse(models.Model):
    token = models.ForeignKey(Token, on_delete=models.CASCADE, related_name="uses")
    count = models.IntegerField(default=0)


class Everything(models.Model):
    """A column of each type; all may be null, so that a row is easily made."""

    integer = models.IntegerField(null=True)
    small = models.PositiveSmallIntegerField(null=True, choices=Size.choices)
    big = models.BigIntegerField(null=True)
    boolean = models.BooleanField(null=True)
    number = models.FloatField(null=True)
    price = models.DecimalField(null=True, max_digits=10, decimal_places=2)
    rate = models.DecimalField(null=True, max_digits=12, decimal_places=5)
    char = models.CharField(null=True, max_length=50)
    text = models.TextField(null=True)
    slug = models.SlugField(null=True)
    email = models.EmailField(null=True)
    color = models.CharField(null=True, max_length=10, choices=Color.choices)
    on = models.DateField(null=True)
    at = models.TimeField(null=True)
    moment = models.DateTimeField(null=True)
    took = models.DurationField(null=True)
    key = models.UUIDField(null=True)
    blob = models.BinaryField(null=True)
    ip = models.GenericIPAddressField(null=True)
    data = models.JSONField(null=True)
    words = WordsField(null=True)
    single = ScaledField(null=True)
    tenfold = ScaledField(null=True, factor=10)


class Box(models.Model):
    """A column that the database computes."""

    width = models.IntegerField()
    height = models.IntegerField()
    area = models.GeneratedField(
        expression=models.F("width") * models.F("height"), output_field=models.IntegerField(), db_persist=True
    )


class Seat(models.Model):
    """Known by two columns together."""

    pk = models.CompositePrimaryKey("hall", "number")
    hall = models.IntegerField()
    number = models.IntegerField()
    taken = models.BooleanField(default=False)


class City(models.Model):
    """A model without `objects`: its rows are reached under another name."""

    name = models.CharField(max_length=50)

    rows: ClassVar["models.Manager[City]"] = models.Manager()


class Legacy(models.Model):
    """Table and columns under names that differ from the model's."""

    code = models.CharField(primary_key=True, max_length=20, db_column="Legacy Code")
    label = models.CharField(max_length=50, db_column="lbl")
    next = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, db_column="follow_up")

    class Meta:
        db_table = "old_Legacy-table"


class LegacyNote(models.Model):
    """A key to a column that is not the primary one."""

    club = models.ForeignKey(Club, to_field="name", on_delete=models.CASCADE, db_column="club_name")
    legacy = models.ForeignKey(Legacy, on_delete=models.CASCADE)
    text = models.CharField(max_length=50, default="")


class Label(models.Model):
    """A generic key: to a row of any table."""

    text = models.CharField(max_length=50)
    content_type = models.ForeignKey(ContentType, on_delete=models.CASCADE)
    object_id = models.PositiveBigIntegerField()
    target = GenericForeignKey()


# Models that have a say in how their objects are made


class Document(models.Model):
    """With a file, which is its name until it is looked at."""

    file = models.FileField(default="")
    tag = models.ForeignKey(Tag, null=True, on_delete=models.SET_NULL)
    loud: ClassVar[Any] = ShoutedField(max_length=50, default="")


class Initialized(Tag):
    """With an `__init__`."""

    class Meta:
        proxy = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.name_before = self.name
        self.me = self


class Loaded(Tag):
    """With a `from_db`."""

    class Meta:
        proxy = True

    @classmethod
    def from_db(cls, *args: Any, **kwargs: Any) -> "Loaded":
        loaded = super().from_db(*args, **kwargs)
        vars(loaded)["is_loaded"] = True
        return loaded


class Rated(Post):
    """With a property whose setter takes an annotation."""

    class Meta:
        proxy = True

    @property
    def score(self) -> Any:
        return self._score

    @score.setter
    def score(self, value: Any) -> None:
        self._score = (value, "points")


class Awkward(models.Model):
    """A table and columns whose names say something in keys, in Lua, in JSON and in patterns."""

    field: Any = models.IntegerField(db_column="a=b&{c}:'\\*")
    text = models.CharField(max_length=200, db_column="é ]]--")

    class Meta:
        db_table = "a table}{x:*["
