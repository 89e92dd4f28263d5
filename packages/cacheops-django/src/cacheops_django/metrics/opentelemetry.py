"""The counters for OpenTelemetry (extra ``opentelemetry``): ``instrument()`` once, where the project starts."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation, get_meter_provider

from cacheops_django import __version__

from . import METRICS, Metric, counts, samples

__all__ = ["instrument"]


def instrument(meter_provider: MeterProvider | None = None, *, shared: bool = False) -> None:
    """Have a meter provider, by default the global one, observe what this process has counted.

    With ``shared`` it is what all processes have: then let only one of them export it.
    """
    meter = (meter_provider or get_meter_provider()).get_meter("cacheops", __version__)
    for metric in METRICS:
        is_time = metric.unit == "seconds"
        meter.create_observable_counter(
            f"cacheops.{metric.name}{'.time' if is_time else ''}",
            callbacks=[_observer(metric, shared)],
            unit="s" if is_time else f"{{{metric.unit}}}",
            description=metric.words,
        )


def _observer(metric: Metric, shared: bool) -> Callable[[CallbackOptions], Iterable[Observation]]:
    names = [f"cacheops.{label}" for label in metric.labels]

    def observe(options: CallbackOptions) -> Iterable[Observation]:
        for name, sample in samples(counts(shared=shared)):
            if name == metric.name:
                yield Observation(sample.value, dict(zip(names, sample.labels, strict=True)))

    return observe
