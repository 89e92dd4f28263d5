"""The counters for Prometheus (extra ``prometheus``): ``register()`` once, where the project starts."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from . import METRICS, Metric, counts, samples

__all__ = ["CacheopsCollector", "register"]


class CacheopsCollector(Collector):
    """Collects what this process has counted, or with ``shared`` what all processes have.

    Where each process is scraped by itself, leave the summing to Prometheus. Where one answers for all of them,
    as in prometheus-client's multiprocess mode, take the shared counts.
    """

    def __init__(self, *, shared: bool = False) -> None:
        self._shared = shared

    def describe(self) -> Iterator[CounterMetricFamily]:
        """Yield the names, for which nothing has to be counted yet."""
        for metric in METRICS:
            yield _family(metric)

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Yield all metrics."""
        families = {metric.name: _family(metric) for metric in METRICS}
        for name, sample in samples(counts(shared=self._shared)):
            families[name].add_metric(sample.labels, sample.value)
        yield from families.values()


def register(registry: CollectorRegistry = REGISTRY, *, shared: bool = False) -> CacheopsCollector:
    """Add the metrics to a registry, and return what is to be unregistered to take them out again."""
    collector = CacheopsCollector(shared=shared)
    registry.register(collector)
    return collector


def _family(metric: Metric) -> CounterMetricFamily:
    unit = "_seconds" if metric.unit == "seconds" else ""
    return CounterMetricFamily(f"cacheops_{metric.name}{unit}", metric.words, labels=metric.labels)
