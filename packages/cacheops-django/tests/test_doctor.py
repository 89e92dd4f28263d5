"""`manage.py cacheops doctor` finds what is wrong with settings and server, and says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import override_settings

from cacheops_core.testing import Server, start_server
from cacheops_django import caches, conf, count_reports, doctor, doctor_server
from cacheops_django.doctor import examine
from cacheops_django.doctor_server import Finding, Info

WELL = {"maxmemory": "100mb", "maxmemory_policy": "allkeys-lru"}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with start_server(**WELL) as server:
        yield server


@pytest.fixture(autouse=True)
def _asked(server: Server) -> Iterator[None]:
    with override_settings(CACHEOPS_REDIS=server.url, CACHEOPS_COUNTERS_EVERY=5):
        yield
    with server.client() as client:
        for name, value in {**WELL, "appendonly": "no", "save": ""}.items():
            client.config_set(name.replace("_", "-"), value)


def found(subject: str) -> Finding:
    [finding] = [finding for finding in examine() if finding.subject == subject]
    return finding


def test_a_server_that_is_well_has_no_error_and_no_warning():
    assert {finding.level for finding in examine()} == {"ok"}


def test_every_finding_that_is_not_well_says_what_to_do(server: Server):
    with server.client() as client:
        client.config_set("maxmemory", 0)
        client.config_set("appendonly", "yes")
    bad = [finding for finding in examine() if finding.level != "ok"]
    assert {finding.subject for finding in bad} == {"memory", "persistence"}
    assert all(finding.remedy for finding in bad)


def test_a_server_that_is_away_is_an_error():
    with override_settings(CACHEOPS_REDIS="redis://127.0.0.1:1/0"):
        finding = found("server")
        assert (finding.level, "does not answer" in finding.says) == ("error", True)
        assert "writes fail" in finding.remedy
        with override_settings(CACHEOPS_DEGRADE_ON_FAILURE=True):
            assert "works from its database" in found("server").remedy


@pytest.mark.parametrize(
    "settings, level, says",
    [
        ({"CACHEOPS_REDIS": None}, "error", "CACHEOPS_REDIS is not set"),
        ({"CACHEOPS": {"shop.product": {"timeout": 1}}}, "warning", "not installed"),
        ({"CACHEOPS": {"testapp.product": {"timeout": 1}}}, "error", "does not have"),
        ({"CACHEOPS_LRU": True}, "warning", "does nothing"),
    ],
    ids=["server", "app", "model", "needless"],
)
def test_mistakes_in_the_settings_are_told(settings: dict[str, Any], level: str, says: str):
    with override_settings(**settings):
        finding = found("settings")
    assert finding.level == level
    assert says in finding.says
    assert finding.remedy


@pytest.mark.parametrize(
    "settings, says",
    [({"CACHEOPS": {}}, "There is no profile"), ({"CACHEOPS_ENABLED": False}, "CACHEOPS_ENABLED is False")],
    ids=["no profile", "turned off"],
)
def test_a_cache_that_caches_nothing_is_a_warning(settings: dict[str, Any], says: str):
    with override_settings(**settings):
        assert says in next(finding.says for finding in examine() if finding.level == "warning")


@pytest.mark.parametrize(
    "fields, level",
    [
        ({"redis_version": "6.0.16"}, "error"),
        ({"redis_version": "6.2.0"}, "ok"),
        ({"redis_version": "7.2.4", "server_name": "valkey", "valkey_version": "7.0.1"}, "error"),
        ({"redis_version": "7.2.4", "server_name": "valkey", "valkey_version": "8.1.0"}, "ok"),
        ({"redis_version": "7.2.4", "server_name": "garnet"}, "ok"),
    ],
    ids=["old Redis", "Redis", "old Valkey", "Valkey", "another"],
)
def test_versions(fields: dict[str, str], level: str):
    [finding] = doctor_server._version(None, Info(fields))  # type: ignore[arg-type]  # it needs no cache
    assert finding.level == level


def test_what_is_kept_on_disk_is_told(server: Server):
    with server.client() as client:
        client.config_set("save", "900 1")
    assert "snapshots (save)" in found("persistence").says


def test_a_user_who_may_not_ask_for_the_configuration_is_no_mistake(server: Server):
    with server.client() as client:
        client.acl_setuser("site", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-config"])
    with override_settings(CACHEOPS_REDIS=f"redis://site:x@{server.host}:{server.port}/0"):
        assert found("persistence").level == "ok"


def test_a_user_who_may_not_ask_for_info_is_told_what_to_allow(server: Server):
    with server.client() as client:
        client.acl_setuser("blind", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-info"])
    with override_settings(CACHEOPS_REDIS=f"redis://blind:x@{server.host}:{server.port}/0"):
        finding = found("server")
    assert (finding.level, "INFO" in finding.remedy) == ("warning", True)


def test_a_server_without_a_limit_is_a_warning(server: Server):
    with server.client() as client:
        client.config_set("maxmemory", 0)
    assert "there is no limit" in found("memory").says


@pytest.mark.parametrize("used, level", [(1, "warning"), (95, "error")])
def test_a_server_that_evicts_nothing_is_worse_the_fuller_it_is(used: int, level: str):
    fields = {"used_memory": str(used), "maxmemory": "100", "maxmemory_policy": "noeviction"}
    [finding] = doctor_server._memory(None, Info(fields))  # type: ignore[arg-type]
    assert finding.level == level
    assert "writes fail" in finding.says


def test_a_full_server_that_evicts_is_worth_a_note():
    fields = {
        "used_memory": "95",
        "maxmemory": "100",
        "maxmemory_policy": "allkeys-lru",
        "evicted_keys": "1234",
    }
    [finding] = doctor_server._memory(None, Info(fields))  # type: ignore[arg-type]
    assert (finding.level, "1,234 keys" in finding.says) == ("note", True)


def test_a_replica_is_an_error(server: Server):
    with server.client() as client:
        client.replicaof("127.0.0.1", 1)
        try:
            assert "takes no writes" in found("role").says
        finally:
            client.replicaof("NO", "ONE")


def test_a_node_of_a_cluster_is_an_error():
    [finding] = doctor_server._cluster(caches.of_counters(), Info({"cluster_enabled": "1"}))
    assert (finding.level, "CACHEOPS_CLUSTER" in finding.remedy) == ("error", True)


def test_a_server_that_fails_half_way_is_an_error(server: Server):
    with server.client() as client:
        client.acl_setuser("halted", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-time"])
    with override_settings(CACHEOPS_REDIS=f"redis://halted:x@{server.host}:{server.port}/0"):
        assert found("server").level == "error"


def test_a_slow_server_is_a_warning(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doctor_server, "SLOW", 0.0)
    assert found("latency").level == "warning"


@pytest.mark.parametrize("difference, level", [(-3600, "warning"), (0, "ok"), (3600, "warning")])
def test_clocks_that_differ_are_told(monkeypatch: pytest.MonkeyPatch, difference: float, level: str):
    now = doctor_server.time.time
    monkeypatch.setattr(doctor_server.time, "time", lambda: now() - difference)
    [finding] = doctor_server.clock(caches.of_counters())
    assert finding.level == level
    assert ("1 h" in finding.says) == bool(difference)


@pytest.mark.parametrize(
    "settings, is_told",
    [
        ({"CACHEOPS_REDIS": "redis://cache.example.org:6379/1"}, True),
        ({"CACHEOPS_REDIS": "redis://user:secret@cache.example.org/1"}, True),
        ({"CACHEOPS_REDIS": {"host": "cache.example.org"}}, True),
        ({"CACHEOPS_REDIS": "redis://cache.example.org/1", "CACHEOPS_SIGNING_KEY": "x" * 20}, False),
        ({"CACHEOPS_REDIS": "redis://cache.example.org/1", "CACHEOPS_SERIALIZER": "json"}, False),
        ({"CACHEOPS_REDIS": "redis://127.0.0.1/1"}, False),
        ({"CACHEOPS_REDIS": "redis://user:secret@localhost/1"}, False),
        ({"CACHEOPS_REDIS": "unix:///run/redis.sock"}, False),
        ({"CACHEOPS_REDIS": {"unix_socket_path": "/run/redis.sock"}}, False),
        ({"CACHEOPS_REDIS": "embedded://"}, False),
    ],
    ids=str,
)
def test_pickles_that_anybody_could_have_written_are_a_warning(settings: dict[str, Any], is_told: bool):
    with override_settings(**settings):
        told = [*doctor._security(conf.current())]
    assert bool(told) == is_told
    assert "secret" not in str(told)


def test_what_is_cached_in_vain_is_told(monkeypatch: pytest.MonkeyPatch):
    counts = {("shop.Product", "get", "hits"): 10, ("shop.Product", "get", "misses"): 990}
    monkeypatch.setattr(count_reports, "hours", lambda number: [(0, counts)])
    finding = found("hits")
    assert finding.says == "Only 1% of 1,000 lookups for get of shop.Product were hits today."


def test_counts_that_are_not_shared_are_told():
    with override_settings(CACHEOPS_COUNTERS_EVERY=None):
        assert found("counters").level == "note"
