"""By hand, in this folder's parent: ``python -m stress --seconds 10 --writers 2 --readers 3 --database sqlite``."""

import argparse
import os
import sys
from pathlib import Path

from databases import KINDS

from stress.runner import SABOTAGE, Plan, run


def main() -> int:
    """Run what the command line says, print a report, and return 1 if something was wrong."""
    default = Plan()
    parser = argparse.ArgumentParser(
        prog="stress", description="Count the stale reads of readers and writers."
    )
    parser.add_argument("--database", choices=KINDS, default=default.database)
    parser.add_argument("--server", default=default.server, help="valkey, redis or the path of one")
    parser.add_argument("--sabotage", choices=SABOTAGE, help="break this, and see that it is found")
    for name in ("seconds", "writers", "readers", "rows", "categories"):
        kind = type(getattr(default, name))
        parser.add_argument(
            f"--{name}", type=kind, default=getattr(default, name), help="default: %(default)s"
        )
    plan = Plan(**vars(parser.parse_args()))
    # The processes have to find what this one has found.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent.parent), *sys.path[1:]])
    report = run(plan)
    print(report)
    print(report.details())
    return bool(report.stale or report.errors)


if __name__ == "__main__":
    sys.exit(main())
