"""The page on operations names what there is."""

import re
from pathlib import Path

from cacheops_django.metrics import METRICS
from cacheops_django.reasons import KINDS

PAGE = (Path(__file__).parent.parent / "docs" / "operations.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table under a heading."""
    section = re.split(r"^## ", PAGE.partition(f"## {heading}\n")[2], flags=re.M)[0]
    return [line.strip("| \n").split(" | ") for line in section.splitlines() if line.startswith("| `")]


def test_all_reasons_are_told():
    assert rows("Reasons") == [[f"`{name}`", *kind] for name, kind in KINDS.items()]


def test_all_metrics_are_told_with_their_labels():
    told = {
        name.strip("`"): re.findall(r"`(\w+)`", labels)
        for name, labels in rows("Prometheus and OpenTelemetry")
    }
    for metric in METRICS:
        unit = "_seconds" if metric.unit == "seconds" else ""
        assert told[f"cacheops_{metric.name}{unit}_total"][: len(metric.labels)] == list(metric.labels)
