"""Where the CPU time of one operation goes: ``python benchmarks/profiling.py save [LINES [ORDER]]``, by cProfile.

The profiler makes short functions look dearer than they are; the bench's own figures are without it. The contender is
ours, unless ``BENCH_CONTENDER`` names another one.
"""

import cProfile
import json
import os
import pstats
import sys
import tempfile
from pathlib import Path
from time import process_time

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), *(str(path) for path in sorted(HERE.parent.glob("packages/*/src")))]

CALLS = 1000
FEW_CALLS = 10
"""Calls of an operation that is many writes at once."""


def main() -> None:
    """Profile some calls of an operation, and print the functions that took longest by themselves."""
    from cacheops_core.testing import start_server

    name, lines = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 30
    with start_server() as server, tempfile.TemporaryDirectory() as folder:
        database = {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{folder}/shop.sqlite3"}
        database["OPTIONS"] = {"init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF"}
        os.environ |= {"DJANGO_SETTINGS_MODULE": "bench.settings", "BENCH_REDIS": server.url}
        os.environ |= {"BENCH_DATABASE": json.dumps(database)}
        os.environ.setdefault("BENCH_CONTENDER", "ours")
        from bench.worker import Worker

        worker = Worker()
        worker.create()
        worker.prepare(name)
        calls = FEW_CALLS if name in ("bulk_create", "saves") else CALLS
        worker.slice(calls)
        worker.get_ready(calls)
        # Time of this process: what others do on the machine is not of interest here.
        profile = cProfile.Profile(process_time)
        profile.enable()
        worker.run()
        profile.disable()
        print(f"{calls} calls")
        stats = pstats.Stats(profile)
        stats.sort_stats(sys.argv[3] if len(sys.argv) > 3 else "tottime").print_stats(lines)


if __name__ == "__main__":
    main()
