"""`manage.py invalidate`: what each form of name drops, and what it says of names that mean nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command
from testapp.models import Place, StarredPlace, Tag, Token

from cacheops_django.management.commands import invalidate

Calls = list[tuple[Any, ...]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Everything that the command has invalidated, in order."""
    made: Calls = []

    def noting(name: str) -> Callable[..., None]:
        return lambda *args, using=None: made.append((name, *args, using))

    for name in ("invalidate_obj", "invalidate_model", "invalidate_all"):
        monkeypatch.setattr(invalidate, name, noting(name))
    return made


def run(*names: str, **options: Any) -> str:
    out = StringIO()
    call_command(invalidate.Command(), *names, stdout=out, **options)
    return out.getvalue()


@pytest.mark.parametrize("name", ["auth.Group", "auth.group", "AUTH.Group"])
def test_a_model_is_invalidated_in_whatever_case(calls: Calls, name: str) -> None:
    assert run(name) == "Invalidated auth.Group\n"
    assert calls == [("invalidate_model", Group, None)]


def test_an_app_is_all_its_models_and_its_many_to_many_tables(calls: Calls) -> None:
    assert "Invalidated auth.Group_permissions\n" in run("auth")
    names = {model.__name__ for _, model, _ in calls}
    assert names == {
        "Permission",
        "Group",
        "Group_permissions",
        "User",
        "User_groups",
        "User_user_permissions",
    }


def test_all_is_everything(calls: Calls) -> None:
    assert run("all") == "Invalidated everything\n"
    assert calls == [("invalidate_all", None)]


@pytest.mark.django_db
def test_an_object_is_invalidated_by_its_primary_key(calls: Calls) -> None:
    group = Group.objects.create(name="g")
    assert run(f"auth.Group.{group.pk}") == f"Invalidated auth.Group {group.pk}\n"
    assert calls == [("invalidate_obj", group, None)]


@pytest.mark.django_db
def test_a_primary_key_may_be_anything_that_the_field_takes(calls: Calls) -> None:
    token = Token.objects.create()
    run(f"testapp.Token.{token.pk}")
    assert calls == [("invalidate_obj", token, None)]


@pytest.mark.django_db
def test_an_object_that_the_models_manager_hides_is_found(calls: Calls) -> None:
    place = Place.objects.create(name="p", stars=0)
    run(f"testapp.StarredPlace.{place.pk}")
    assert calls == [("invalidate_obj", StarredPlace(pk=place.pk), None)]


@pytest.mark.django_db(databases=["default", "other"])
def test_an_object_is_read_from_the_database_that_is_named(calls: Calls) -> None:
    tag = Tag.objects.using("other").create(name="t")
    run(f"testapp.Tag.{tag.pk}", database="other")
    assert calls == [("invalidate_obj", tag, "other")]
    with pytest.raises(CommandError, match='not in the database "default"'):
        run(f"testapp.Tag.{tag.pk}")


def test_a_model_is_invalidated_in_the_database_that_is_named(calls: Calls) -> None:
    assert run("auth.Group", database="other") == "Invalidated auth.Group in other\n"
    assert calls == [("invalidate_model", Group, "other")]


def test_several_names_are_taken_in_turn(calls: Calls) -> None:
    assert run("testapp.Tag", "auth.Group").splitlines() == [
        "Invalidated testapp.Tag",
        "Invalidated auth.Group",
    ]
    assert [model for _, model, _ in calls] == [Tag, Group]


def test_a_quiet_run_says_nothing(calls: Calls) -> None:
    assert run("auth.Group", verbosity=0) == ""
    assert len(calls) == 1


@pytest.mark.parametrize(
    "names, message",
    [
        pytest.param(
            ["auht"], 'There is no app "auht". Did you mean "auth"? There are: all, auth,', id="an app"
        ),
        pytest.param(["al"], 'There is no app "al". Did you mean "all"?', id="all"),
        pytest.param(
            ["auth.Usr"],
            'The app "auth" has no model "Usr". Did you mean "User"? There are: Group, Group_permissions,',
            id="a model",
        ),
        pytest.param(
            ["all", "x.Y"], 'There is no app "x". There are: all, auth,', id="an app after a right name"
        ),
        pytest.param(
            ["testapp.Token.7"], '"7" cannot be a primary key of testapp.Token: ', id="a key of another type"
        ),
        pytest.param(["auth.Group.7.x"], '"7.x" cannot be a primary key of auth.Group', id="too many parts"),
    ],
)
def test_a_name_that_means_nothing_stops_it_before_it_begins(
    calls: Calls, names: list[str], message: str
) -> None:
    with pytest.raises(CommandError, match=re.escape(message)):
        run(*names)
    assert calls == []


@pytest.mark.django_db
def test_an_object_that_is_gone_is_told_with_what_to_do(calls: Calls) -> None:
    with pytest.raises(
        CommandError, match=r'"7" is not in the database "default". Run invalidate auth.Group to'
    ):
        run("auth.Group.7")
    assert calls == []


def test_a_database_that_is_not_there_is_told_its_nearest(calls: Calls) -> None:
    with pytest.raises(
        CommandError, match=r'no database "othr". Did you mean "other"[?] There are: default, other'
    ):
        run("auth.Group", database="othr")


def test_everything_is_not_of_one_database(calls: Calls) -> None:
    with pytest.raises(CommandError, match='"all" is all of every database'):
        run("all", database="other")
    assert calls == []
