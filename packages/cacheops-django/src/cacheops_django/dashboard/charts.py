"""Charts as the numbers of SVG: templates only draw what is worked out here, so that no locale gets in between."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, log10

from cacheops_django.count_reports import Figures

__all__ = ["Bars", "Heat", "bars", "heat", "spark"]

WIDTH, HEIGHT = 960, 220
LEFT, RIGHT, TOP, BOTTOM = 52, 44, 12, 26

SPARK_WIDTH, SPARK_HEIGHT = 120, 26

FEW = 50
"""The part of the most lookups, one in so many, below which a rate says nothing."""

SHADES = 5
"""Shades of heat, besides none."""


@dataclass(frozen=True, slots=True)
class Bar:
    """Lookups of one span of time: hits below, misses above them."""

    x: str
    width: str
    hits_y: str
    hits_height: str
    misses_y: str
    misses_height: str
    words: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis."""

    at: str
    words: str


@dataclass(frozen=True, slots=True)
class Bars:
    """Lookups over time, with the rate of hits as a line."""

    bars: Sequence[Bar]
    rate: str
    """The line, as a path."""
    lookups: Sequence[Tick]
    rates: Sequence[Tick]
    times: Sequence[Tick]
    frame: str = f"0 0 {WIDTH} {HEIGHT}"
    left: str = str(LEFT)
    right: str = str(WIDTH - RIGHT)
    bottom: str = str(HEIGHT - BOTTOM)


@dataclass(frozen=True, slots=True)
class Cell:
    """How often something was dropped in one span of time."""

    x: int
    shade: int
    words: str


@dataclass(frozen=True, slots=True)
class Heat:
    """When what depends on a model was dropped."""

    model: str
    total: str
    cells: Sequence[Cell]
    frame: str


def bars(times: Sequence[str], figures: Sequence[Figures]) -> Bars:
    """Return the chart of lookups, of as many spans of time as there are figures."""
    most = _round_up(max((one.lookups for one in figures), default=0))
    step = (WIDTH - LEFT - RIGHT) / max(len(figures), 1)
    width = max(step - (2 if step > 6 else 0.5), 0.5)
    drawn = []
    for index, (time, one) in enumerate(zip(times, figures, strict=True)):
        hits, misses = _scaled(one.hits, most), _scaled(one.misses, most)
        bottom = HEIGHT - BOTTOM
        drawn.append(
            Bar(
                f"{LEFT + index * step:.1f}",
                f"{width:.1f}",
                f"{bottom - hits:.1f}",
                f"{hits:.1f}",
                f"{bottom - hits - misses:.1f}",
                f"{misses:.1f}",
                f"{time}: {one.hits:,} hits, {one.misses:,} misses{_percent(one)}",
            )
        )
    rate = _path(_rates(figures), LEFT + step / 2, step, TOP, HEIGHT - TOP - BOTTOM)
    every = ceil(len(times) / 8)
    shown = [
        Tick(f"{LEFT + (index + 0.5) * step:.1f}", time)
        for index, time in enumerate(times)
        if index % every == every // 2
    ]
    lookups = [
        Tick(f"{HEIGHT - BOTTOM - _scaled(part, most):.1f}", f"{part:,.0f}") for part in (0, most / 2, most)
    ]
    rates = [
        Tick(f"{HEIGHT - BOTTOM - _scaled(part, 1):.1f}", words)
        for part, words in ((0, "0%"), (0.5, "50%"), (1, "100%"))
    ]
    return Bars(drawn, rate, lookups, rates, shown)


def spark(figures: Sequence[Figures]) -> str:
    """Return the rate of hits over time as a small line, a path in `SPARK_WIDTH` by `SPARK_HEIGHT`."""
    step = SPARK_WIDTH / max(len(figures), 1)
    return _path(_rates(figures), step / 2, step, 3, SPARK_HEIGHT - 6)


def heat(model: str, times: Sequence[str], figures: Sequence[Figures], most: int) -> Heat:
    """Return a row of cells, the hotter the more was dropped; the hottest is where it was ``most``."""
    cells = []
    for index, (time, one) in enumerate(zip(times, figures, strict=True)):
        number = one.drops.total()
        shade = ceil(SHADES * log10(1 + 9 * number / most)) if most and number else 0
        cells.append(Cell(index * 10, shade, f"{time}: {number:,}"))
    total = sum(one.drops.total() for one in figures)
    return Heat(model, f"{total:,}", cells, f"0 0 {len(cells) * 10} 16")


def _scaled(number: float, most: float) -> float:
    return (HEIGHT - TOP - BOTTOM) * number / most if most else 0


def _rates(figures: Sequence[Figures]) -> list[float | None]:
    """Return the rates of hits; none where next to nothing was asked, as in a minute that has just begun."""
    least = max((one.lookups for one in figures), default=0) / FEW
    return [one.hit_rate if one.lookups > least else None for one in figures]


def _path(rates: Sequence[float | None], left: float, step: float, top: float, height: float) -> str:
    """Return the path through rates; where there is none, there is a gap."""
    return " ".join(_points(rates, left, step, top, height))


def _points(
    rates: Sequence[float | None], left: float, step: float, top: float, height: float
) -> Iterator[str]:
    is_drawing = False
    for index, rate in enumerate(rates):
        if rate is not None:
            point = f"{left + index * step:.1f} {top + height * (1 - rate):.1f}"
            # A lone point is drawn as a dot, by a line of no length with round ends.
            yield f"L{point}" if is_drawing else f"M{point}h0"
        is_drawing = rate is not None


def _percent(one: Figures) -> str:
    return "" if one.hit_rate is None else f" ({one.hit_rate:.0%})"


def _round_up(number: int) -> int:
    """Return the next number up that reads well on an axis, as does its half."""
    factor = 10 ** max(int(log10(number)) - 1, 0) if number else 1
    return next(step * factor for step in _STEPS if step * factor >= number)


_STEPS = (2, 4, 6, 8, 10, 12, 16, 20, 24, 30, 40, 50, 60, 80, 100)
