"""What each process counts is summed up on the server, now and then, in one round trip, and expires there."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.signals import request_finished
from django.db import close_old_connections
from django.test import override_settings
from testapp.models import Tag

from cacheops_core.testing import Cluster, Server
from cacheops_core.testing.round_trips import count_round_trips
from cacheops_django import caches, count_reports, counters, shared_counters
from cacheops_django.count_reports import Figures, by

pytestmark = pytest.mark.django_db

FETCH = ("testapp.Tag", "fetch", "hits")


@pytest.fixture(autouse=True)
def _sharing(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    counters.reset()
    shared_counters.begin_anew()
    monkeypatch.setattr(shared_counters, "_due", 0.0)
    monkeypatch.setattr(shared_counters, "_has_requests", True)
    with override_settings(CACHEOPS_COUNTERS_EVERY=5):
        yield
    counters.reset()
    shared_counters.begin_anew()


def ask(times: int = 3) -> None:
    for _ in range(times):
        list(Tag.objects.all())


def end_request() -> None:
    # As Django's client for tests does: its own receiver would close the connection that the test's transaction is on.
    request_finished.disconnect(close_old_connections)
    try:
        request_finished.send(sender=None)
    finally:
        request_finished.connect(close_old_connections)


def test_counts_are_sent_when_a_request_ends():
    ask()
    assert count_reports.totals() == {}
    end_request()
    totals = count_reports.totals()
    assert [totals["testapp.Tag", "fetch", name] for name in ("misses", "fills", "hits")] == [1, 1, 2]


def test_sending_is_one_round_trip():
    ask()
    shared_counters.publish()
    ask()
    with count_round_trips(caches.current().driver.client) as trips:
        assert shared_counters.publish()
    assert trips.sent == [("EVALSHA",)]


def test_they_are_not_sent_again_before_it_is_time():
    end_request()
    ask()
    with count_round_trips(caches.current().driver.client) as trips:
        end_request()
    assert trips.count == 0


def test_nothing_is_sent_where_nothing_was_counted():
    with count_round_trips(caches.current().driver.client) as trips:
        assert shared_counters.publish()
    assert trips.count == 0


def test_what_was_sent_is_not_sent_again():
    ask()
    for _ in range(2):
        shared_counters.publish()
    ask()
    shared_counters.publish()
    assert count_reports.totals()[FETCH] == 2 + 3


def test_nothing_is_sent_where_the_settings_keep_counts_in_the_process():
    ask()
    with override_settings(CACHEOPS_COUNTERS_EVERY=None):
        assert not shared_counters.publish()
    assert count_reports.totals() == {}


def test_a_failure_costs_nothing_but_a_pause(cache_server: Server):
    ask()
    with override_settings(CACHEOPS_REDIS="redis://127.0.0.1:1/0", CACHEOPS_CLUSTER=None):
        assert not shared_counters.publish()
    assert shared_counters._due > time.monotonic() + 20
    shared_counters.publish()
    assert count_reports.totals()[FETCH] == 2


def test_a_timer_sends_what_no_request_does(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shared_counters, "_has_requests", False)
    sent = threading.Event()
    publish = shared_counters.publish

    def told() -> bool:
        try:
            return publish()
        finally:
            sent.set()

    monkeypatch.setattr(shared_counters, "publish", told)
    with override_settings(CACHEOPS_COUNTERS_EVERY=0.01):
        ask()
        assert sent.wait(10)
    assert count_reports.totals()["testapp.Tag", "fetch", "misses"] == 1


def test_a_forked_child_leaves_its_parents_counts_to_it():
    ask()
    shared_counters.begin_anew()
    ask(1)
    shared_counters.publish()
    assert count_reports.totals()[FETCH] == 1


def test_a_forked_child_begins_anew():
    ask()
    child = os.fork()
    if not child:
        os._exit(0 if shared_counters._published[FETCH] == 2 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_process_that_ends_sends_its_last_counts(cache_server: Server):
    program = (
        "import django; django.setup();"
        "from cacheops_django import counters; counters.dropped_everything(); counters._wake()"
    )
    environment = {"DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": os.pathsep.join(sys.path)}
    place = "CACHEOPS_CLUSTER" if isinstance(cache_server, Cluster) else "CACHEOPS_REDIS"
    settings = f"import settings as s; s.CACHEOPS_REDIS = None; s.{place} = {cache_server.url!r};"
    command = [sys.executable, "-c", f"{settings} s.CACHEOPS_COUNTERS_EVERY = 60; {program}"]
    subprocess.run(command, env=os.environ | environment, check=True, timeout=60)
    assert count_reports.totals()["", "", "drop:all"] == 1


def test_the_sums_of_several_processes_are_added():
    for _ in range(2):
        counters.reset()
        shared_counters.begin_anew()
        ask()
        shared_counters.publish()
    assert count_reports.totals()[FETCH] == 2 + 3


def test_all_keys_expire():
    ask()
    shared_counters.publish()
    client = caches.current().driver.client
    keys = [key for key in client.scan_iter() if b"{counts}" in key]
    assert len(keys) == 4
    assert all(0 < client.ttl(key) <= 7 * 24 * 3600 for key in keys)


def test_hashes_have_no_more_fields_than_they_may(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shared_counters, "MOST_FIELDS", 3)
    ask()
    shared_counters.publish()
    client = caches.current().driver.client
    assert client.hlen(shared_counters.key_of("t")) == 3


def test_queries_that_do_not_fit_are_left_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shared_counters, "MOST_FIELDS", 1)
    ask()
    Tag.objects.count()
    for _ in range(2):
        shared_counters.publish()
    assert len(count_reports.queries()) == 1


def test_counts_stay_when_the_cache_is_emptied():
    ask()
    shared_counters.publish()
    caches.current().invalidate_all()
    assert count_reports.totals()[FETCH] == 2


@override_settings(CACHEOPS_PREFIX=lambda query: f"{query.table}:")
def test_there_is_one_place_where_the_prefix_is_a_function():
    ask()
    shared_counters.publish()
    assert count_reports.totals()[FETCH] == 2


@pytest.mark.parametrize("buckets", [count_reports.minutes, count_reports.hours], ids=["minutes", "hours"])
def test_counts_are_kept_by_minute_and_by_hour(buckets: Any):
    ask()
    shared_counters.publish()
    *before, (_, last_but_one), (began, last) = buckets(4)
    assert (last | last_but_one)[FETCH] == 2
    assert [counts for _, counts in before] == [{}, {}]
    assert time.time() - began < 2 * 3600


def test_queries_are_told_with_what_came_of_them():
    for _ in range(2):
        ask()
        shared_counters.publish()
    [query] = count_reports.queries()
    assert (query.model, query.op) == ("testapp.Tag", "fetch")
    assert query.what == "SELECT testapp_tag.id, testapp_tag.name FROM testapp_tag"
    assert (query.figures.misses, query.figures.hits) == (1, 5)
    assert 0 < query.figures.spent < 60


def test_a_server_that_has_lost_the_text_of_a_query_is_told_again():
    ask()
    shared_counters.publish()
    caches.current().driver.client.flushall()
    ask()
    shared_counters.publish()
    assert count_reports.queries() == []
    ask()
    shared_counters.publish()
    [query] = count_reports.queries()
    assert (query.what, query.figures.hits) == (
        "SELECT testapp_tag.id, testapp_tag.name FROM testapp_tag",
        2 + 3,
    )


def test_figures_are_summed_up_by_what_is_asked_for():
    counts = {
        ("a.B", "get", "hits"): 3,
        ("a.B", "fetch", "misses"): 1,
        ("a.B", "fetch", "saved"): 1_500_000,
        ("a.B", "fetch", "bypass:raw"): 2,
        ("a.B", "", "drop:rows"): 4,
    }
    figures = by(counts, lambda model, op: (model,))["a.B",]
    assert (figures.lookups, figures.hit_rate, figures.saved) == (4, 0.75, 1.5)
    assert (figures.bypasses, figures.drops) == ({"raw": 2}, {"rows": 4})


def test_without_a_lookup_there_is_no_rate():
    assert Figures().hit_rate is None
