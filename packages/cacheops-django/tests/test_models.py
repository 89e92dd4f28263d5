"""Models that are not like others: made late, two of one table, swapped, without managers of Django's kind."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from answers import Ask, is_right, keep, queries
from django.apps import apps
from django.db import connection, models
from django.test import override_settings
from testapp.models import (
    Author,
    City,
    Tag,
)

from cacheops_core.errors import ConfigurationError
from cacheops_django import tables

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def registered(*made: type[models.Model]) -> Iterator[None]:
    """Have the tables of models that a test has made, and take the models out of the registry afterwards."""
    with connection.schema_editor() as editor:
        for model in made:
            editor.create_model(model)
    try:
        yield
    finally:
        with connection.schema_editor() as editor:
            for model in reversed(made):
                editor.delete_model(model)


@pytest.fixture(autouse=True)
def _registry() -> Iterator[None]:
    """Let no model outlive its test."""
    before = dict(apps.all_models["testapp"])
    yield
    if apps.all_models["testapp"] != before:
        apps.all_models["testapp"].clear()
        apps.all_models["testapp"].update(before)
        apps.clear_cache()


# Made late


def test_a_model_that_is_made_after_all_others_is_cached_and_tracked() -> None:
    assert tables.models_of("testapp_late") == ()

    class Late(models.Model):
        name = models.CharField(max_length=20)

        class Meta:
            app_label = "testapp"

    with registered(Late):
        row = Late.objects.create(name="a")

        def ask() -> list[Late]:
            return list(Late.objects.filter(name="a"))

        keep(ask)
        row.name = "b"
        row.save()
        assert is_right(ask)
        assert tables.models_of("testapp_late") == (Late,)


def test_a_model_that_refers_to_one_that_is_made_later_is_tracked() -> None:
    class Early(models.Model):
        late = models.ForeignKey("testapp.Later", on_delete=models.CASCADE)

        class Meta:
            app_label = "testapp"

    class Later(models.Model):
        class Meta:
            app_label = "testapp"

    with registered(Later, Early):
        later = Later.objects.create()
        Early.objects.create(late=later)

        def ask() -> list[Any]:
            return list(Early.objects.filter(late=1).select_related("late"))

        keep(ask)
        later.delete()
        assert is_right(ask)


# Several models of one table


def test_two_models_of_one_table_are_seen_through_each_other() -> None:
    class View(models.Model):
        name = models.CharField(max_length=50)

        class Meta:
            app_label = "testapp"
            db_table = Tag._meta.db_table
            managed = False

    tag = Tag.objects.create(name="a")

    def ask() -> list[View]:
        return list(View.objects.filter(name="a"))

    keep(ask)
    Tag(pk=tag.pk, name="b").save()
    assert is_right(ask)
    keep(lambda: Tag.objects.get(pk=tag.pk))
    View(pk=tag.pk, name="c").save()
    assert is_right(lambda: Tag.objects.get(pk=tag.pk))
    assert tables.models_of(Tag._meta.db_table) == (Tag, View)


# Swapped models


def test_a_swapped_model_is_no_obstacle() -> None:
    with override_settings(TESTAPP_USER="testapp.Author"):

        class Swapped(models.Model):
            class Meta:
                app_label = "testapp"
                swappable = "TESTAPP_USER"

        author = Author.objects.create(name="a")
        keep(lambda: Author.objects.get(pk=author.pk))
        author.save()
        assert is_right(lambda: Author.objects.get(pk=author.pk))
        assert tables.models_of(Swapped._meta.db_table) == (Swapped,)


# Managers


class PlainManager(models.manager.BaseManager.from_queryset(models.QuerySet)):  # type: ignore[misc]
    """A manager that is not Django's Manager, but made as that is."""


class Shelf(models.QuerySet[Any]):
    """A queryset with methods of its own."""

    def tall(self) -> Any:
        return self.filter(height__gt=5)


def test_a_manager_of_the_projects_own_is_cached_and_tracked() -> None:
    class Bookcase(models.Model):
        height = models.IntegerField()
        plain = PlainManager()
        shelves = Shelf.as_manager()

        class Meta:
            app_label = "testapp"

    with registered(Bookcase):
        row = Bookcase.plain.create(height=7)
        asks: list[Ask] = [
            lambda: list(Bookcase.plain.all()),
            lambda: list(Bookcase.plain.cache()),
            lambda: list(Bookcase.shelves.tall()),
            lambda: list(Bookcase.shelves.cache().tall()),
            lambda: Bookcase.shelves.tall().cache(ops="count").count(),
        ]
        for ask in asks:
            keep(ask)
        row.height = 8
        row.save()
        assert all(is_right(ask) for ask in asks)
        assert queries(lambda: list(Bookcase.shelves.tall().nocache())) == 1
        for ask in asks:
            keep(ask)
        Bookcase.plain.invalidated_update(height=9)
        assert all(is_right(ask) for ask in asks)


def test_a_manager_that_sees_a_part_of_the_rows_hides_no_write() -> None:
    class Living(models.Manager[Any]):
        def get_queryset(self) -> Any:
            return super().get_queryset().filter(is_dead=False)

    class Animal(models.Model):
        is_dead = models.BooleanField(default=False)
        objects = Living()
        everybody: Any = models.Manager()

        class Meta:
            app_label = "testapp"

    with registered(Animal):
        row = Animal.objects.create(is_dead=True)

        def ask() -> list[Animal]:
            return list(Animal.everybody.filter(is_dead=True))

        keep(ask)
        row.is_dead = False
        row.save()
        assert is_right(ask)
        keep(lambda: list(Animal.objects.all()))
        Animal.everybody.invalidated_update(is_dead=True)
        assert is_right(lambda: list(Animal.objects.all()))


def test_a_model_whose_manager_makes_no_queryset_of_djangos_is_saved_and_says_so_when_it_is_to_be_cached() -> (
    None
):
    class Bare:
        """What makes rows out of nothing."""

        def filter(self, **kwargs: Any) -> list[Any]:
            return []

    class BareManager(models.manager.BaseManager.from_queryset(Bare)):  # type: ignore[misc]
        """A manager whose rows no query brings."""

        def get_queryset(self) -> Any:
            return Bare()

    class Odd(models.Model):
        name = models.CharField(max_length=20)
        rows = BareManager()

        class Meta:
            app_label = "testapp"

    with registered(Odd):
        row = Odd(name="a")
        row.save()
        assert Odd._base_manager.get(pk=row.pk) == row
        row.name = "b"
        row.save()
        assert Odd._base_manager.get(pk=row.pk).name == "b"
        with pytest.raises(ConfigurationError, match=r"Odd\.rows\..*Bare, which is no queryset"):
            Odd.rows.cache()
        row.delete()


def test_a_model_without_objects_is_cached_and_tracked() -> None:
    city = City.rows.create(name="a")
    keep(lambda: City.rows.get(name="a"))
    city.name = "b"
    city.save()
    assert is_right(lambda: City.rows.get(name="a"))
