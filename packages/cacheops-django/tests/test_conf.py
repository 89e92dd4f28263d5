"""The snapshot of the settings: which profile a model gets, and that every override takes effect."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.apps.registry import Apps
from django.contrib.auth.models import Group, User
from django.db import models
from django.test import override_settings
from django.test.utils import isolate_apps
from testapp.models import Place, Post, Restaurant, StarredPlace

from cacheops_django import conf
from cacheops_django.model_profiles import keys_for


@pytest.fixture(autouse=True)
def server() -> Iterator[None]:
    with override_settings(CACHEOPS_REDIS="redis://localhost/1"):
        yield


def ops_of(model: type[models.Model], profiles: dict[str, Any]) -> set[str] | None:
    """Return what these profiles cache for the model by themselves; None if they let nothing be cached."""
    written = {key: ops if ops is None else {"ops": ops} for key, ops in profiles.items()}
    with override_settings(CACHEOPS=written, CACHEOPS_DEFAULTS={"timeout": 60}):
        profile = conf.current().profile_for(model)
    return None if profile is None else set(profile.ops)


@pytest.mark.parametrize(
    "profiles, ops",
    [
        pytest.param({}, None, id="none"),
        pytest.param({"testapp.*": "get"}, None, id="another app's"),
        pytest.param({"*.*": "count"}, {"count"}, id="all apps'"),
        pytest.param({"*.*": "count", "auth.*": "fetch"}, {"fetch"}, id="its app's before all apps'"),
        pytest.param({"auth.*": "fetch", "auth.user": "get"}, {"get"}, id="its own before its app's"),
        pytest.param({"auth.User": "get"}, {"get"}, id="its own as the class is written"),
        pytest.param({"*.*": "count", "auth.user": None}, None, id="forbidden for it"),
        pytest.param({"*.*": "count", "auth.*": None}, None, id="forbidden for its app"),
        pytest.param({"auth.*": None, "auth.user": "get"}, {"get"}, id="allowed in a forbidden app"),
    ],
)
def test_the_most_exact_profile_holds(profiles: dict[str, Any], ops: set[str] | None) -> None:
    assert ops_of(User, profiles) == ops


def test_the_defaults_are_merged_into_every_profile() -> None:
    defaults = {"timeout": 60, "lock": True}
    with override_settings(CACHEOPS={"auth.user": {"lock": False}, "auth.*": {}}, CACHEOPS_DEFAULTS=defaults):
        user, group = map(conf.current().profile_for, (User, Group))
    assert user is not None
    assert group is not None
    assert (user.lock, group.lock, user.timeout, group.timeout) == (False, True, 60, 60)


def test_a_profile_knows_where_it_was_written() -> None:
    with override_settings(CACHEOPS={"auth.User": {"timeout": 60}}):
        profile = conf.current().profile_for(User)
    assert profile is not None
    assert profile.name == 'CACHEOPS["auth.User"]'


@pytest.mark.parametrize(
    "profiles, ops",
    [
        pytest.param({"testapp.starredplace": "get", "testapp.place": "count"}, {"get"}, id="its own first"),
        pytest.param({"testapp.place": "count", "testapp.*": "get"}, {"count"}, id="then its model's"),
        pytest.param({"testapp.place": None, "testapp.*": "get"}, None, id="and what that forbids"),
        pytest.param({"testapp.*": "get"}, {"get"}, id="then its app's"),
    ],
)
def test_a_proxy_without_a_profile_has_that_of_its_model(
    profiles: dict[str, Any], ops: set[str] | None
) -> None:
    assert ops_of(StarredPlace, profiles) == ops


@isolate_apps("testapp")
def test_a_proxy_in_another_app_is_looked_up_in_its_own_first() -> None:
    class Employee(User):
        class Meta:
            proxy = True
            app_label = "Testapp"

    assert list(keys_for(Employee)) == ["testapp.employee", "auth.user", "testapp.*", "auth.*", "*.*"]


def test_a_child_has_a_table_and_so_a_profile_of_its_own() -> None:
    assert ops_of(Restaurant, {"testapp.place": "get", "*.*": "count"}) == {"count"}
    assert ops_of(Place, {"testapp.restaurant": "get"}) is None


def test_the_table_of_a_many_to_many_field_has_a_profile() -> None:
    assert ops_of(Post.tags.through, {"testapp.Post_tags": "get"}) == {"get"}
    assert ops_of(Post.tags.through, {"testapp.*": "fetch"}) == {"fetch"}


def test_models_that_the_project_does_not_have_are_not_cached() -> None:
    class Past(models.Model):
        class Meta:
            app_label = "testapp"
            apps = Apps()

    assert ops_of(Past, {"*.*": "all"}) is None


def test_a_model_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with override_settings(CACHEOPS={"*.*": {"timeout": 60}}):
        settings = conf.current()
        first = settings.profile_for(User)
        monkeypatch.setattr(conf, "keys_for", None)
        assert settings.profile_for(User) is first


def upper(query: Any) -> str:
    return "UPPER:"


class Reversing:
    """A serializer, as a project may have one."""

    dumps = staticmethod(reversed)
    loads = staticmethod(reversed)


OVERRIDES = {
    "enabled": ("CACHEOPS_ENABLED", False, False),
    "degrade_on_failure": ("CACHEOPS_DEGRADE_ON_FAILURE", True, True),
    "prefix": ("CACHEOPS_PREFIX", "shop:", "shop:"),
    "prefix as a callable": ("CACHEOPS_PREFIX", upper, upper),
    "prefix as a dotted path": ("CACHEOPS_PREFIX", "os.path.join", __import__("os").path.join),
    "serializer": ("CACHEOPS_SERIALIZER", "json", "json"),
    "serializer as an object": ("CACHEOPS_SERIALIZER", Reversing, Reversing),
    "serializer as a dotted path": ("CACHEOPS_SERIALIZER", "marshal", __import__("marshal")),
    "compression": ("CACHEOPS_COMPRESSION", "lz4", "lz4"),
    "compress_above": ("CACHEOPS_COMPRESS_ABOVE", 500, 500),
    "signing_key": ("CACHEOPS_SIGNING_KEY", "a key of the project", (b"a key of the project",)),
    "signing_key in a list": ("CACHEOPS_SIGNING_KEY", ["k" * 16, b"l" * 16], (b"k" * 16, b"l" * 16)),
    "skip_fields": ("CACHEOPS_SKIP_FIELDS", ["TextField"], frozenset({"TextField"})),
    "long_disjunction": ("CACHEOPS_LONG_DISJUNCTION", 3, 3),
    "file_cache_dir": ("FILE_CACHE_DIR", "/srv/cache", Path("/srv/cache")),
    "file_cache_timeout": ("FILE_CACHE_TIMEOUT", timedelta(hours=1), 3600.0),
    "replicas": ("CACHEOPS_REPLICAS", {"other": "default"}, {"other": "default"}),
    "replica_lag": ("CACHEOPS_REPLICA_LAG", timedelta(seconds=2), 2.0),
    "near_size": ("CACHEOPS_NEAR_SIZE", 5, 5),
    "near_bytes": ("CACHEOPS_NEAR_BYTES", 500, 500),
    "near_max_age": ("CACHEOPS_NEAR_MAX_AGE", timedelta(seconds=2), 2.0),
    "fence_lifetime": ("CACHEOPS_FENCE_LIFETIME", timedelta(minutes=2), 120.0),
    "counters_every": ("CACHEOPS_COUNTERS_EVERY", timedelta(minutes=1), 60.0),
    "replica_lag of none": ("CACHEOPS_REPLICA_LAG", 0, 0.0),
}


@pytest.mark.parametrize("name, row", OVERRIDES.items(), ids=OVERRIDES)
def test_an_override_takes_effect_and_ends(name: str, row: tuple[str, Any, Any]) -> None:
    (field, *_), (setting, written, meant) = name.split(), row
    before = getattr(conf.current(), field)
    with override_settings(**{setting: written}):
        assert getattr(conf.current(), field) == meant
    assert getattr(conf.current(), field) == before


@pytest.mark.parametrize("setting", ["CACHEOPS", "CACHEOPS_DEFAULTS", "CACHEOPS_LRU", "CACHEOPS_INSIDEOUT"])
def test_every_setting_makes_a_new_snapshot(setting: str) -> None:
    before = conf.current()
    with override_settings(**{setting: {}}):
        assert conf.current() is not before


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"CACHEOPS_REDIS": {"host": "h"}}, id="redis"),
        pytest.param({"CACHEOPS_SENTINEL": {"locations": [("h", 1)], "service_name": "s"}}, id="sentinel"),
        pytest.param({"CACHEOPS_CLUSTER": "redis://h"}, id="cluster"),
        pytest.param({"CACHEOPS_CLIENT_CLASS": "valkey.Valkey", "CACHEOPS_REDIS": "redis://h"}, id="class"),
    ],
)
def test_another_server_is_another_connection(other: dict[str, Any]) -> None:
    before = conf.current().connection
    with override_settings(**{"CACHEOPS_REDIS": None} | other):
        assert conf.current().connection != before
    assert conf.current().connection == before


def test_other_settings_leave_the_snapshot_alone() -> None:
    before = conf.current()
    with override_settings(LANGUAGE_CODE="nl"):
        assert conf.current() is before


def test_every_field_can_be_overridden() -> None:
    fields = {field.name for field in dataclasses.fields(conf.Settings) if field.init}
    assert fields == {name.split()[0] for name in OVERRIDES} | {"connection", "profiles"}


def test_a_replica_is_known_with_its_primary() -> None:
    with override_settings(CACHEOPS_REPLICAS={"other": "default"}):
        assert [conf.current().primary_of(alias) for alias in ("other", "default")] == ["default", "default"]


def test_a_snapshot_does_not_show_passwords() -> None:
    with override_settings(CACHEOPS_REDIS="redis://:secret@h"):
        assert "secret" not in repr(conf.current())
