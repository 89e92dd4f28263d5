"""The counters under the names by which Prometheus and OpenTelemetry know metrics."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import override_settings
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import CollectorRegistry, generate_latest
from testapp.models import Tag

from cacheops_django import counters, shared_counters
from cacheops_django.metrics.opentelemetry import instrument
from cacheops_django.metrics.prometheus import register

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _counted(db: None) -> Iterator[None]:
    counters.reset()
    shared_counters.begin_anew()
    for _ in range(3):
        list(Tag.objects.all())
    Tag.objects.order_by("?").first()
    Tag.objects.create(name="a")
    yield
    counters.reset()
    shared_counters.begin_anew()


def scraped(*, shared: bool = False) -> str:
    registry = CollectorRegistry()
    register(registry, shared=shared)
    return generate_latest(registry).decode()


LINES = [
    'cacheops_lookups_total{model="testapp.Tag",op="fetch",result="hit"} 2.0',
    'cacheops_lookups_total{model="testapp.Tag",op="fetch",result="miss"} 1.0',
    'cacheops_fills_total{model="testapp.Tag",op="fetch"} 1.0',
    'cacheops_bypasses_total{model="testapp.Tag",op="get",reason="volatile"} 1.0',
    'cacheops_invalidations_total{model="testapp.Tag",scope="rows"} 1.0',
]


@pytest.mark.parametrize("line", LINES)
def test_prometheus_scrapes(line: str):
    assert line in scraped()


@pytest.mark.parametrize("name", ["computing", "saved"])
def test_prometheus_scrapes_times(name: str):
    registry = CollectorRegistry()
    register(registry)
    found = registry.get_sample_value(
        f"cacheops_{name}_seconds_total", {"model": "testapp.Tag", "op": "fetch"}
    )
    assert found is not None
    assert 0 < found < 60


def test_prometheus_scrapes_what_all_processes_have_counted():
    with override_settings(CACHEOPS_COUNTERS_EVERY=60):
        shared_counters.publish()
    counters.reset()
    assert LINES[0] in scraped(shared=True)
    assert LINES[0] not in scraped()


def test_without_a_server_there_are_no_shared_counts_and_no_error():
    with override_settings(CACHEOPS_REDIS="redis://127.0.0.1:1/0", CACHEOPS_CLUSTER=None):
        assert "# TYPE cacheops_lookups_total counter" in scraped(shared=True)


def test_opentelemetry_observes():
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    instrument(provider)
    data = reader.get_metrics_data()
    assert data is not None
    metrics = {metric.name: metric for metric in data.resource_metrics[0].scope_metrics[0].metrics}
    lookups = {
        tuple((point.attributes or {}).values()): point.value
        for point in metrics["cacheops.lookups"].data.data_points
    }
    assert lookups["testapp.Tag", "fetch", "hit"] == 2
    assert (metrics["cacheops.lookups"].unit, metrics["cacheops.saved.time"].unit) == ("{lookup}", "s")
    assert set(metrics) == {
        "cacheops.lookups", "cacheops.fills", "cacheops.bypasses", "cacheops.invalidations",
        "cacheops.computing.time", "cacheops.saved.time",
    }  # fmt: skip
    provider.shutdown()
