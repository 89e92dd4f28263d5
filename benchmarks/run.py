"""Starts the bench from a clone: ``python benchmarks/run.py --source --only get``; `bench` is what it runs."""

import sys
from pathlib import Path

if __name__ == "__main__":
    here = Path(__file__).resolve().parent
    sys.path.insert(0, str(here))
    if "--source" in sys.argv:
        sys.path[:0] = [str(path) for path in sorted(here.parent.glob("packages/*/src"))]
    from bench.__main__ import main

    sys.exit(main())
