"""The counters for OpenTelemetry (extra ``opentelemetry``): ``instrument()`` once, where the project starts."""

from cacheops_django.metrics.opentelemetry import instrument

__all__ = ["instrument"]
