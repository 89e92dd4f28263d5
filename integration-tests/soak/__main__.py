"""By hand: ``nox -s soak -- --seconds 60 --scenario all``, or ``python -m soak`` in this folder's parent."""

import argparse
import os
import random
import sys
from dataclasses import replace
from pathlib import Path

from databases import KINDS

from soak.runner import run
from soak.scenario import Plan
from soak.scenarios import SCENARIOS
from soak.tally import Report, table
from soak.tweaks import SABOTAGE


def main() -> int:
    """Run what the command line says, print the table, and return 1 if anything was stale or went wrong."""
    options = arguments()
    chosen = [SCENARIOS[name] for name in options.scenario]
    plan = Plan(**{name: getattr(options, name) for name in Plan.__dataclass_fields__})
    # The processes have to find what this one has found.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent.parent), *sys.path[1:]])
    print(f"seed {plan.seed}, {plan.seconds:g} s each, {plan.writers} writers, {plan.readers} readers")
    reports: list[Report] = []
    for scenario in chosen:
        print(f"\n{scenario.name}: {scenario.story}", flush=True)
        reports.append(run(replace(plan), scenario, tell if sys.stdout.isatty() else None))
        print(f"\r{reports[-1].details()}", flush=True)
    print("\n" + "\n".join(table(reports)))
    return int(any(report.stale or report.exceptions for report in reports))


def arguments() -> argparse.Namespace:
    """Return what the command line says."""
    default = Plan()
    parser = argparse.ArgumentParser(
        prog="soak",
        description="Count the stale reads of readers and writers, while servers and processes fail.",
        epilog="Scenarios: " + "; ".join(f"{name}: {one.story}" for name, one in SCENARIOS.items()),
    )
    parser.add_argument("--scenario", type=names, default=[*SCENARIOS], help="all, or names with commas")
    parser.add_argument("--database", choices=KINDS, default=default.database)
    parser.add_argument("--isolation", help='of PostgreSQL or MariaDB, such as "repeatable read"')
    parser.add_argument("--server", default=default.server, help="valkey, redis or the path of one")
    parser.add_argument("--sabotage", choices=SABOTAGE, help="break this, and see that it is found")
    parser.add_argument("--seed", type=int, default=random.randrange(10_000), help="default: drawn")
    for name in ("seconds", "writers", "readers", "rows", "places"):
        value = getattr(default, name)
        parser.add_argument(f"--{name}", type=type(value), default=value, help="default: %(default)s")
    return parser.parse_args()


def names(text: str) -> list[str]:
    """Return the names of scenarios that an argument lists."""
    if text == "all":
        return [*SCENARIOS]
    chosen = [name.strip() for name in text.split(",")]
    if unknown := [name for name in chosen if name not in SCENARIOS]:
        raise argparse.ArgumentTypeError(f"no scenario {unknown[0]!r}: there are {', '.join(SCENARIOS)}")
    return chosen


def tell(report: str) -> None:
    """Show how far it is."""
    print(f"\r{report}", end="", flush=True)


if __name__ == "__main__":
    sys.exit(main())
