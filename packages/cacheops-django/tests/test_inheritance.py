"""Rows that are spread over tables: whoever writes through one model is seen by whoever reads through another.

In the original an object invalidates only what was asked of the model it is held as, so that a restaurant which
is saved as a place stays in the lists of restaurants under its old name.
"""

from collections.abc import Callable
from typing import Any

import pytest
from answers import Ask, is_cached, is_right, keep
from django.db import models, transaction
from django.db.models import Count, F, Max
from django.test import override_settings
from django.test.utils import isolate_apps
from numbering import go_on_counting
from testapp.models import City, Event, Pizzeria, Place, Restaurant, StarredPlace

from cacheops_django import conf, tables

pytestmark = pytest.mark.django_db


class StarredPizzeria(Pizzeria):
    """A proxy at the end of the chain."""

    class Meta:
        app_label = "testapp"
        proxy = True


@pytest.fixture(autouse=True)
@transaction.atomic  # or each row would be a transaction, with fences of its own
def _rows() -> None:
    """Make a row of each length: one that ends with a place, one with a restaurant, two with a pizzeria."""
    city = City.rows.create(pk=1, name="a")
    Place.objects.create(pk=1, name="place", stars=1)
    Restaurant.objects.create(pk=2, name="restaurant", stars=1, cuisine="a", city=city)
    Pizzeria.objects.create(pk=3, name="pizzeria", stars=1, cuisine="a", city=city, ovens=1)
    Pizzeria.objects.create(pk=4, name="other", stars=2, cuisine="b", ovens=2)
    go_on_counting()


READS: dict[str, Ask] = {
    "places": lambda: list(Place.objects.order_by("pk")),
    "places by a column": lambda: list(Place.objects.filter(name="pizzeria")),
    "a place": lambda: Place.objects.get(pk=3),
    "a place's child": lambda: Place.objects.get(pk=3).restaurant,
    "a place's grandchild": lambda: Place.objects.select_related("restaurant__pizzeria").get(pk=3),
    "places by a grandchild's column": lambda: list(Place.objects.filter(restaurant__pizzeria__ovens=1)),
    "places that are nothing more": lambda: list(Place.objects.filter(restaurant=None)),
    "places of a proxy": lambda: list(StarredPlace.objects.order_by("pk")),
    "restaurants": lambda: list(Restaurant.objects.order_by("pk")),
    "restaurants by a place's column": lambda: list(Restaurant.objects.filter(name="pizzeria")),
    "restaurants by their own column": lambda: list(Restaurant.objects.filter(cuisine="a").order_by("pk")),
    "restaurants by both": lambda: list(Restaurant.objects.filter(cuisine="a", name="pizzeria")),
    "a restaurant's place": lambda: Restaurant.objects.get(pk=3).place_ptr,
    "pizzerias": lambda: list(Pizzeria.objects.order_by("pk")),
    "pizzerias by a place's column": lambda: list(Pizzeria.objects.filter(name="pizzeria")),
    "pizzerias by a restaurant's column": lambda: list(Pizzeria.objects.filter(cuisine="a")),
    "pizzerias of a proxy": lambda: list(StarredPizzeria.objects.filter(stars=1)),
    "deferred columns of parents": lambda: list(Pizzeria.objects.only("ovens", "name")),
    "values of all tables": lambda: list(Pizzeria.objects.values("name", "cuisine", "ovens").order_by("pk")),
    "restaurants of a city": lambda: list(City.rows.get(pk=1).restaurant_set.order_by("pk")),
    "a count": lambda: Pizzeria.objects.filter(stars=1).count(),
    "whether there is one": lambda: Restaurant.objects.filter(stars=1, cuisine="a").exists(),
    "an aggregate": lambda: Pizzeria.objects.aggregate(Max("stars"), Count("city")),
}


def changed(model: type[models.Model], **values: Any) -> Callable[[], Any]:
    """Return what has an object held as one model changed and saved."""

    def change() -> None:
        row = model._base_manager.nocache().get(pk=3)
        for name, value in values.items():
            setattr(row, name, value)
        row.save()

    return change


def _adopt() -> None:
    # What somebody does who makes an existing place a restaurant.
    place = Place.objects.nocache().get(pk=1)
    child = Restaurant(place_ptr=place, cuisine="a")
    child.__dict__.update({name: value for name, value in vars(place).items() if name != "_state"})
    child.save()


def _create_raw() -> None:
    Restaurant(place_ptr_id=1, cuisine="a").save_base(raw=True)


WRITES: dict[str, Callable[[], Any]] = {
    "a place is saved": changed(Place, name="new", stars=3),
    "a place is saved as a proxy": changed(StarredPlace, name="new", stars=3),
    "a restaurant's own column is saved": changed(Restaurant, cuisine="b"),
    "a restaurant's place is saved": changed(Restaurant, name="new", stars=3),
    "a pizzeria's own column is saved": changed(Pizzeria, ovens=5),
    "a pizzeria's parents are saved": changed(Pizzeria, name="new", cuisine="b", city=None),
    "a pizzeria is saved as a proxy": changed(StarredPizzeria, name="new", cuisine="b", ovens=5),
    "some columns are saved": lambda: Pizzeria(pk=3, name="new", stars=9).save(update_fields=["name"]),
    "a pizzeria is made": lambda: Pizzeria.objects.create(name="pizzeria", stars=1, cuisine="a", city_id=1),
    "a restaurant is made": lambda: Restaurant.objects.create(name="pizzeria", stars=1, cuisine="a"),
    "a place is made": lambda: Place.objects.create(name="pizzeria", stars=1),
    "places are made in bulk": lambda: Place.objects.bulk_create([Place(name="pizzeria", stars=1)]),
    "a place becomes a restaurant": _adopt,
    "a place becomes a restaurant by itself": _create_raw,
    "a place is deleted": lambda: Place.objects.nocache().get(pk=3).delete(),
    "a proxy is deleted": lambda: StarredPlace.objects.nocache().get(pk=3).delete(),
    "a restaurant is deleted": lambda: Restaurant.objects.nocache().get(pk=3).delete(),
    "a pizzeria is deleted": lambda: Pizzeria.objects.nocache().get(pk=3).delete(),
    "a pizzeria is deleted and its parents are kept": lambda: (
        Pizzeria.objects.nocache().get(pk=3).delete(keep_parents=True)
    ),
    "places are deleted": lambda: Place.objects.filter(stars=1).delete(),
    "pizzerias are deleted by a parent's column": lambda: Pizzeria.objects.filter(name="pizzeria").delete(),
    "a city is deleted": lambda: City.rows.nocache().get(pk=1).delete(),
    "a parent's column is updated": lambda: Pizzeria.objects.filter(ovens=1).invalidated_update(name="new"),
    "columns of three tables are updated": lambda: Pizzeria.objects.filter(stars=1).invalidated_update(
        name="new", cuisine="b", ovens=5
    ),
    "a column is updated by itself": lambda: Place.objects.invalidated_update(stars=F("stars") + 1),
    "pizzerias are updated in bulk": lambda: Pizzeria.objects.bulk_update(
        [Pizzeria(pk=3, name="new", cuisine="b")], ["name", "cuisine"]
    ),
    "a pizzeria is looked up and updated": lambda: Pizzeria.objects.update_or_create(
        name="pizzeria", defaults={"cuisine": "b", "stars": 3}
    ),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_write_through_any_model_is_seen_through_all(write: Callable[[], Any]) -> None:
    for ask in READS.values():
        keep(ask)
    write()
    stale = [name for name, ask in READS.items() if not is_right(ask)]
    assert not stale


# Rows that are chosen over a join, or are all there are, count as the whole table.
GRANULAR = {
    name: write
    for name, write in WRITES.items()
    if name not in ("columns of three tables are updated", "a column is updated by itself")
}


@pytest.mark.parametrize("write", GRANULAR.values(), ids=GRANULAR)
def test_a_write_through_any_model_leaves_the_rows_of_others(write: Callable[[], Any]) -> None:
    others: list[Ask] = [
        lambda: list(Place.objects.filter(stars=77)),
        lambda: list(Restaurant.objects.filter(city=77).values("cuisine")),
        lambda: list(Pizzeria.objects.filter(ovens=2).values("ovens")),
        lambda: Pizzeria.objects.get(pk=4),
        lambda: Place.objects.select_related("restaurant__pizzeria").get(pk=4),
    ]
    for ask in others:
        keep(ask)
    write()
    for ask in others:
        assert is_cached(ask)


# Proxies


def test_a_proxy_is_asked_for_separately_and_answers_with_its_own_class() -> None:
    keep(lambda: list(Place.objects.order_by("pk")))
    assert {type(row) for row in StarredPlace.objects.all()} == {StarredPlace}
    assert {type(row) for row in Place.objects.all()} == {Place}


def test_a_proxy_that_may_not_be_cached_is_tracked_all_the_same() -> None:
    ask = READS["places by a column"]
    with override_settings(
        CACHEOPS={"testapp.starredplace": None, "testapp.*": {"ops": "all", "timeout": 60}}
    ):
        keep(ask)
        WRITES["a place is saved as a proxy"]()
        assert is_right(ask)
        assert not is_cached(lambda: list(StarredPlace.objects.all()))


# Abstract bases


def test_children_of_an_abstract_base_have_profiles_of_their_own() -> None:
    with override_settings(CACHEOPS={"testapp.event": {"ops": "get", "timeout": 60}}):
        profile = conf.current().profile_for(Event)
    assert profile is not None
    assert profile.ops == {"get"}


def test_an_abstract_base_of_a_chain_of_tables_is_no_part_of_a_row() -> None:
    with isolate_apps("testapp"):

        class Base(models.Model):
            class Meta:
                app_label = "testapp"
                abstract = True

        class Middle(Base):
            class Meta:
                app_label = "testapp"

        class Child(Middle):
            class Meta:
                app_label = "testapp"

        class Proxy(Child):
            class Meta:
                app_label = "testapp"
                proxy = True

        assert list(tables.parts_of(Proxy)) == [Child, Middle]


def test_two_parents_are_both_parts_of_a_row() -> None:
    with isolate_apps("testapp"):

        class Left(models.Model):
            left = models.AutoField(primary_key=True)

            class Meta:
                app_label = "testapp"

        class Right(models.Model):
            right = models.AutoField(primary_key=True)

            class Meta:
                app_label = "testapp"

        class Both(Left, Right):
            class Meta:
                app_label = "testapp"

        assert set(tables.parts_of(Both)) == {Both, Left, Right}


# Polymorphic parents


class PlaceOfAnyKind(Place):
    """A proxy that hands out each row as the longest that it is, as libraries for polymorphic models do."""

    class Meta:
        app_label = "testapp"
        proxy = True

    def longest(self) -> Any:
        for model in (Pizzeria, Restaurant):
            found = model.objects.filter(pk=self.pk).first()
            if found is not None:
                return found
        return Place.objects.get(pk=self.pk)


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_rows_that_are_handed_out_as_what_they_are_are_seen(write: Callable[[], Any]) -> None:
    def ask() -> list[Any]:
        return [row.longest() for row in PlaceOfAnyKind.objects.order_by("pk")]

    keep(ask)
    write()
    assert is_right(ask)
