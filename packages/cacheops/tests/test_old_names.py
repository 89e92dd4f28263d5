"""The names by which code that was written for django-cacheops imports things: they lead to ours, and work."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

import cacheops
from cacheops.conf import DEFAULTS, model_profile, settings
from cacheops.invalidation import invalidate_dict
from cacheops.redis import redis_client
from cacheops_core.testing import start_server
from cacheops_django import caches, conf

NAMES = {
    "conf": ["model_profile", "settings"],
    "invalidation": [
        *("invalidate_all", "invalidate_dict", "invalidate_model", "invalidate_obj", "no_invalidation"),
    ],
    "query": ["cached_as", "cached_view_as", "install_cacheops"],
    "reaper": ["reap_conjs"],
    "redis": ["redis_client"],
    "signals": ["cache_invalidated", "cache_read"],
    "simple": ["CacheMiss", "FileCache", "cache", "cached", "cached_view", "file_cache"],
    "templatetags.cacheops": ["CacheopsLibrary", "invalidate_fragment", "register"],
}


@pytest.fixture(scope="module")
def server() -> Iterator[None]:
    """A server for the project's cache."""
    with start_server() as server, override_settings(CACHEOPS_REDIS=server.url):
        yield


# Names


@pytest.mark.parametrize("module", NAMES)
def test_a_module_has_the_names_that_it_had(module: str) -> None:
    found = import_module(f"cacheops.{module}")
    assert sorted(found.__all__) == NAMES[module]
    for name in set(NAMES[module]) & set(cacheops.__all__):
        assert getattr(found, name) is getattr(cacheops, name)


def test_the_version_can_be_compared() -> None:
    assert ".".join(map(str, cacheops.VERSION)) in cacheops.__version__
    assert cacheops.VERSION > (0, 0, 9)


def test_the_library_of_the_tags_is_the_django_packages() -> None:
    ours, theirs = (
        import_module(f"{name}.templatetags.cacheops") for name in ("cacheops", "cacheops_django")
    )
    assert ours.register is theirs.register


def test_the_app_need_not_be_installed_by_hand() -> None:
    assert cacheops.install_cacheops() is None


def test_reaping_says_that_it_does_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "cacheops"):
        cacheops.reap_conjs(100, 10, "default", True)
        cacheops.reap_conjs(chunk_size=100, min_conj_set_size=10, using="default", dry_run=True)
    assert [record.message[:16] for record in caplog.records] == ["Nothing to reap:"] * 2


# Settings


def test_settings_are_as_they_are_written() -> None:
    assert settings.CACHEOPS == {"auth.*": {"ops": "all", "timeout": 60}}
    assert settings.CACHEOPS_ENABLED is True
    with override_settings(CACHEOPS_ENABLED=False, CACHEOPS_PREFIX="shop:"):
        assert (settings.CACHEOPS_ENABLED, settings.CACHEOPS_PREFIX) == (False, "shop:")
    assert settings.INSTALLED_APPS[-1] == "cacheops"


def test_each_setting_has_a_default() -> None:
    assert set(DEFAULTS) == conf.KNOWN
    assert (settings.CACHEOPS_SENTINEL, settings.CACHEOPS_LONG_DISJUNCTION) == ({}, 8)


def test_the_directory_of_the_file_cache_is_known_without_a_setting(tmp_path: Path) -> None:
    assert Path(settings.FILE_CACHE_DIR).is_absolute()
    with override_settings(FILE_CACHE_DIR=str(tmp_path)):
        assert str(tmp_path) == settings.FILE_CACHE_DIR


def test_a_setting_that_there_is_not_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="there is no setting CACHEOPS_ENABLE"):
        _ = settings.CACHEOPS_ENABLE


def test_settings_cannot_be_changed_where_nobody_would_notice() -> None:
    with pytest.raises(AttributeError, match=r"CACHEOPS_ENABLED is only read here: .*override_settings"):
        settings.CACHEOPS_ENABLED = False


def test_the_profile_of_a_model_is_a_dict() -> None:
    profile = model_profile(Group)
    assert profile is not None
    assert profile["ops"] == {"get", "fetch", "count", "exists", "aggregate"}
    assert (profile["timeout"], profile["lock"], profile.get("cache_on_save")) == (60, False, False)
    assert "name" not in profile


def test_a_model_of_which_nothing_may_be_cached_has_no_profile() -> None:
    assert model_profile(ContentType) is None
    with override_settings(CACHEOPS={"auth.group": None}):
        assert model_profile(Group) is None


# The client


@pytest.mark.usefixtures("server")
def test_the_client_is_the_one_of_the_cache() -> None:
    cacheops.cache.set("key", "value")
    assert redis_client.dbsize() > 0
    assert redis_client.connection_pool is caches.current().driver.client.connection_pool
    assert repr(redis_client) == repr(caches.current().driver.client)


@pytest.mark.usefixtures("server")
def test_the_client_is_another_one_where_the_settings_name_another_server() -> None:
    before = redis_client.connection_pool
    with start_server() as other, override_settings(CACHEOPS_REDIS=other.url):
        redis_client.set("only", "here")
        assert redis_client.connection_pool is not before
    assert redis_client.get("only") is None


# Invalidation by values


def asked(group: str) -> int:
    """Return how many queries it takes to know the groups of a name."""
    with CaptureQueriesContext(connection) as queries:
        list(Group.objects.filter(name=group))
    return len(queries)


@pytest.mark.usefixtures("server")
@pytest.mark.django_db
def test_what_depends_on_the_values_of_a_row_is_dropped() -> None:
    assert [asked(group) for group in ("a", "b", "a", "b")] == [1, 1, 0, 0]
    invalidate_dict(Group, {"id": 1, "name": "a"})
    assert [asked(group) for group in ("a", "b")] == [1, 0]
    invalidate_dict(Group, {"id": 1, "name": "b"}, using="default")
    assert [asked(group) for group in ("a", "b")] == [0, 1]


@pytest.mark.usefixtures("server")
@pytest.mark.django_db
@pytest.mark.parametrize("values", [{}, {"id": 1}, {"title": "a"}])
def test_a_field_without_a_value_may_have_had_any(values: dict[str, object]) -> None:
    asked("a")
    invalidate_dict(Group, values)
    assert asked("a") == 1


@pytest.mark.usefixtures("server")
@pytest.mark.django_db
def test_values_are_named_by_attribute() -> None:
    kind = ContentType.objects.get_for_model(User)
    other = ContentType.objects.get_for_model(Group)

    def asked(of: ContentType) -> int:
        with CaptureQueriesContext(connection) as queries:
            Permission.objects.filter(content_type=of).count()
        return len(queries)

    assert [asked(of) for of in (kind, other, kind, other)] == [1, 1, 0, 0]
    invalidate_dict(Permission, {"content_type_id": kind.pk})
    assert [asked(of) for of in (kind, other)] == [1, 0]


@pytest.mark.usefixtures("server")
@pytest.mark.django_db
def test_nothing_is_dropped_where_nothing_is_to_be() -> None:
    asked("a")
    with cacheops.no_invalidation:
        invalidate_dict(Group, {"name": "a"})
    assert asked("a") == 0
