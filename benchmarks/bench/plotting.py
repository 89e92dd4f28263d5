"""The table as a picture: what each read costs, and what writes cost beyond no cache."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

from .contenders import CONTENDERS
from .results import Report

COLORS = {"none": "#b0b0b0", "cachalot": "#e0a458", "7.2": "#c8553d", "ours": "#2a6f97", "near": "#61a5c2"}


def plot(report: Report, path: Path) -> None:
    """Draw the medians of all operations into a file."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    results = [result for result in report.results if not result.operation.dependents and result.series]
    names = [name for name in CONTENDERS if name in report.about["contenders"]]
    figure, axes = plt.subplots(figsize=(10, 0.62 * len(results) + 1.4), layout="constrained")
    height = 0.8 / len(names)
    for position, name in enumerate(names):
        rows = [(index, result.cost(name)) for index, result in enumerate(results) if name in result.series]
        axes.barh(
            [index + position * height for index, _ in rows],
            [max(cost, 0.1) for _, cost in rows],
            height,
            label=CONTENDERS[name].title,
            color=COLORS[name],
        )
    axes.set_xscale("log")
    axes.invert_yaxis()
    axes.set_yticks([index + 0.4 - height / 2 for index in range(len(results))])
    axes.set_yticklabels([result.operation.title for result in results])
    axes.set_xlabel("microseconds of CPU per call; misses and writes: beyond the same without a cache")
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(ncols=len(names), loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
    figure.savefig(path, dpi=110)
