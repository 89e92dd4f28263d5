"""What was measured as tables in a terminal: per operation what each contender costs, and whether ours are there."""

from __future__ import annotations

from statistics import median

from rich.table import Table
from rich.text import Text

from .contenders import CONTENDERS
from .operations import BYTES, OTHERS
from .results import BASE, MOST_TIMES, RIVAL, Report, Result, Spread

OURS = ("ours", "near")


def tables(report: Report) -> list[Table]:
    """Return all tables of a report that have a row."""
    found = [_costs(report), _ratios(report), _bytes(report), _imports(report), _hits(report)]
    return [table for table in found if table.row_count]


def _names(report: Report) -> list[str]:
    return [name for name in CONTENDERS if name in report.about["contenders"]]


def _costs(report: Report) -> Table:
    names = _names(report)
    table = Table("operation", title="microseconds of CPU (wall) per call · round trips; + beyond no cache")
    for name in names:
        table.add_column(CONTENDERS[name].title, justify="right")
    for result in report.results:
        table.add_row(result.operation.title, *(_cost(result, name) for name in names))
    return table


def _ratios(report: Report) -> Table:
    pairs = [(name, rival) for name in OURS for rival in (RIVAL, BASE) if {name, rival} <= {*_names(report)}]
    table = Table("operation", title="how many times the CPU of ours others take [the middle half of slices]")
    for name, rival in pairs:
        table.add_column(f"{CONTENDERS[rival].title} / {CONTENDERS[name].title}", justify="right")
    for result in report.results if pairs else ():
        table.add_row(result.operation.title, *(_ratio(result, *pair) for pair in pairs))
    return table


def _cost(result: Result, name: str) -> Text:
    if name not in result.series:
        absent = result.absent.get(name, "-")
        return Text(absent, style="bold red" if absent in ("wrong", "fails") else "dim")
    cpu, wall = (result.cost(name, clock) for clock in ("cpu", "wall"))
    # What is cheaper than without a cache has a sign already.
    is_beyond = result.operation.kind != "read" and name != BASE and BASE in result.series
    sign = "+" if is_beyond and cpu >= 0 else ""
    trips = result.series[name].trips
    return Text(f"{sign}{number(cpu)} ({number(wall)})" + ("" if trips is None else f" ·{per_call(trips)}"))


def _ratio(result: Result, name: str, rival: str) -> Text:
    is_no_question = rival == BASE and result.operation.kind != "read"
    ratio = None if is_no_question else result.ratio(name, rival)
    if ratio is None:
        return Text("-", style="dim")
    told = spread(ratio)
    if rival == BASE:
        return Text(told, style="" if ratio.median > 1 else "yellow")
    goal, is_met = result.operation.goal(name), result.is_met(name)
    if goal is None:
        return Text(told)
    return Text(f"{told} {'met' if is_met else 'not'} {goal}", style="green" if is_met else "yellow")


def _bytes(report: Report) -> Table:
    table = Table(
        OTHERS["bytes"], *[CONTENDERS[name].title for name in _names(report) if name != BASE], "target"
    )
    for kind, found in report.bytes_per_entry.items():
        cells = [f"{found[name]:,.0f}" if name in found else "-" for name in _names(report) if name != BASE]
        goal = "-"
        if RIVAL in found and "ours" in found:
            share = found["ours"] / found[RIVAL]
            goal = f"{share:.2f}x, {'met' if 1 / share >= BYTES.times else 'not'} {1 / BYTES.times:.1f}x"
        table.add_row(kind, *cells, goal)
    return table


def _imports(report: Report) -> Table:
    names = list(report.imports)
    table = Table("milliseconds", *(CONTENDERS[name].title for name in names))
    if names:
        base = report.imports.get(BASE)
        for label, clock in (("CPU of django.setup()", "cpu"), ("wall", "wall")):
            medians = {name: median(getattr(report.imports[name], clock)) for name in names}
            beyond = median(getattr(base, clock)) if base else 0.0
            table.add_row(
                label,
                *(
                    f"{value / 1000:.0f}" + ("" if name == BASE else f" (+{(value - beyond) / 1000:.0f})")
                    for name, value in medians.items()
                ),
            )
    return table


def _hits(report: Report) -> Table:
    names = _names(report)
    table = Table(
        "client processes", *(CONTENDERS[name].title for name in names), title="hits per second, get"
    )
    for clients, found in report.hits.items():
        table.add_row(str(clients), *(f"{found[name]:,.0f}" if name in found else "-" for name in names))
    return table


def number(value: float) -> str:
    """Return a number with two or three digits that say something."""
    return f"{value:.1f}" if abs(value) < 20 else f"{value:,.0f}"


def per_call(trips: float) -> str:
    """Return the round trips of a call."""
    return f"{trips:,.0f}" if trips >= 10 else f"{trips:.2g}"


def spread(ratio: Spread) -> str:
    """Return a ratio with the middle half of the slices."""
    if ratio.median >= MOST_TIMES:
        return f"more than {MOST_TIMES}x"
    return f"{ratio.median:.3g}x [{ratio.low:.3g}-{ratio.high:.3g}]"


def line(result: Result) -> str:
    """Return an operation in one line, for who waits."""
    told = ", ".join(
        f"{name} {number(result.cost(name))}" if name in result.series else f"{name} {result.absent[name]}"
        for name in CONTENDERS
        if name in result.series or name in result.absent
    )
    ratio = result.ratio("ours")
    return f"{result.operation.title}: {told}" + (f"; {spread(ratio)}" if ratio else "")
