"""The report as tables for the documentation."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from .contenders import CONTENDERS
from .operations import BYTES, OTHERS
from .reporting import number, per_call, spread
from .results import BASE, RIVAL, Report, Result


def lines(report: Report) -> Iterator[str]:
    """Yield the lines of all tables."""
    names = [name for name in CONTENDERS if name in report.about["contenders"]]
    ours = [name for name in ("ours", "near") if name in names]
    titles = [CONTENDERS[name].title for name in names]
    ratios = [f"{CONTENDERS[RIVAL].title} / {CONTENDERS[name].title}" for name in ours]
    yield from _row("operation", *titles, *ratios)
    yield from _row("---", *["--:"] * (len(names) + len(ours)))
    for result in report.results:
        costs = [_cost(result, name) for name in names]
        yield from _row(result.operation.title, *costs, *(_ratio(result, name) for name in ours))
    yield ""
    cached = [name for name in names if name != BASE]
    yield from _row(OTHERS["bytes"], *(CONTENDERS[name].title for name in cached))
    yield from _row("---", *["--:"] * len(cached))
    for kind, found in report.bytes_per_entry.items():
        share = {name: f" ({found[name] / found[RIVAL]:.2f}x)" for name in ours if RIVAL in found}
        yield from _row(kind, *(f"{found[name]:,.0f}{share.get(name, '')}" for name in cached))
    yield from _row("target", *(f"{1 / BYTES.times:.1f}x" if name == "ours" else "" for name in cached))
    yield ""
    yield from _row("", *titles)
    yield from _row("---", *["--:"] * len(names))
    for clients, found in report.hits.items():
        hits = (f"{found[name]:,.0f}" if name in found else "-" for name in names)
        yield from _row(f"hits per second, {clients} client process{'es' if clients > 1 else ''}", *hits)
    if report.imports:
        times = (f"{median(report.imports[name].cpu) / 1000:,.0f}" for name in names)
        yield from _row("ms of CPU to start", *times)


def _row(*cells: str) -> Iterator[str]:
    yield f"| {' | '.join(cells)} |"


def _cost(result: Result, name: str) -> str:
    if name not in result.series:
        return result.absent.get(name, "-")
    is_beyond = result.operation.kind != "read" and name != BASE and BASE in result.series
    sign = "+" if is_beyond and result.cost(name) >= 0 else ""
    trips = result.series[name].trips
    shown = f"{sign}{number(result.cost(name))} ({number(result.cost(name, 'wall'))})"
    return shown + ("" if trips is None else f" · {per_call(trips)}")


def _ratio(result: Result, name: str) -> str:
    ratio, goal = result.ratio(name), result.operation.goal(name)
    if ratio is None:
        return "-"
    if goal is None:
        return spread(ratio)
    return f"{spread(ratio)}, {'**met**' if result.is_met(name) else 'not'} {goal}"
