"""Charts: every number of theirs is inside of the frame, and gaps are gaps."""

from __future__ import annotations

from collections import Counter

import pytest

from cacheops_django.count_reports import Figures
from cacheops_django.dashboard.charts import HEIGHT, SHADES, WIDTH, bars, heat, spark

TIMES = [f"10:{minute:02}" for minute in range(60)]


def figures(*lookups: tuple[int, int]) -> list[Figures]:
    found = [Figures(hits=hits, misses=misses) for hits, misses in lookups]
    return [Figures()] * (60 - len(found)) + found


def test_bars_stand_on_the_axis_hits_below_misses():
    chart = bars(TIMES, figures((30, 10), (0, 0), (40, 0)))
    bar = chart.bars[57]
    assert float(bar.hits_y) + float(bar.hits_height) == pytest.approx(float(chart.bottom))
    assert float(bar.misses_y) + float(bar.misses_height) == pytest.approx(float(bar.hits_y), abs=0.11)
    assert float(bar.hits_height) == pytest.approx(3 * float(bar.misses_height), abs=0.2)
    assert bar.words == "10:57: 30 hits, 10 misses (75%)"


@pytest.mark.parametrize("most", [1, 2, 3, 7, 10, 41, 99, 100, 12_345, 999_999])
def test_no_bar_leaves_the_frame(most: int):
    chart = bars(TIMES, figures((most, 0), (0, most)))
    assert all(0 <= float(bar.misses_y) <= HEIGHT for bar in chart.bars)
    assert all(0 <= float(bar.x) <= WIDTH for bar in chart.bars)


@pytest.mark.parametrize(
    "most, ticks", [(0, "2"), (3, "4"), (221, "240"), (999, "1,000"), (12_345, "16,000")]
)
def test_axes_have_numbers_that_read_well(most: int, ticks: str):
    chart = bars(TIMES, figures((most, 0)))
    assert chart.lookups[-1].words == ticks
    assert [tick.words for tick in chart.rates] == ["0%", "50%", "100%"]
    assert len(chart.times) == 7


def test_where_nothing_was_asked_there_is_a_gap_in_the_line():
    line = spark(figures((1, 1), (0, 0), (1, 0), (0, 1)))
    assert line == "M113.0 13.0h0 M117.0 3.0h0 L119.0 23.0"


def test_where_next_to_nothing_was_asked_the_rate_says_nothing():
    assert spark(figures((50, 50), (0, 1))) == "M117.0 13.0h0"


def test_nothing_at_all_is_no_line():
    assert spark([]) == ""
    assert bars([], []).bars == []


def test_the_more_was_dropped_the_hotter_it_is():
    dropped = [Figures(drops=Counter(rows=number)) for number in (0, 1, 10, 100)]
    row = heat("shop.Product", TIMES[:4], dropped, 100)
    shades = [cell.shade for cell in row.cells]
    assert shades == sorted(shades)
    assert (shades[0], shades[-1]) == (0, SHADES)
    assert all(shades[1:])
    assert (row.total, row.cells[3].words) == ("111", "10:03: 100")
