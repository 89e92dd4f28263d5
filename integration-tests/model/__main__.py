"""Explore all scenarios, the large ones too, and all mutations: ``python -m model`` in ``integration-tests``."""

from __future__ import annotations

import argparse
import logging
import sys
import time

from .explorer import Explorer, Violation
from .scenarios import LARGE, MUTATIONS, SCENARIOS


def main() -> int:
    """Print one line for each exploration; return how many of them came out wrong."""
    parser = argparse.ArgumentParser(prog="python -m model", description=__doc__)
    parser.add_argument("--large", action="store_true", help="also those that take minutes")
    parser.add_argument("--only", default="", help="those with this text in their names")
    options = parser.parse_args()
    # Of those who go on while the server is away, each says so each time.
    logging.getLogger("cacheops").setLevel(logging.ERROR)
    wrong = 0
    for name, scenario in {**SCENARIOS, **(LARGE if options.large else {})}.items():
        if options.only in name:
            began = time.monotonic()
            try:
                outcome = f"{Explorer(scenario).explore():,} states"
            except Violation as violation:
                outcome, wrong = f"VIOLATION {violation}", wrong + 1
            print(f"{name}: {outcome}, {time.monotonic() - began:.0f} s", flush=True)
    for name, mutation in MUTATIONS.items():
        if options.only in name:
            try:
                with mutation.patch():
                    states = Explorer(mutation.mutated()).explore()
                print(f"NOT CAUGHT in {states:,} states: {name}", flush=True)
                wrong += 1
            except Violation as violation:
                print(f"caught: {name} {str(violation).splitlines()[-1]}", flush=True)
    return wrong


if __name__ == "__main__":
    sys.exit(main())
