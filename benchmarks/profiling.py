"""Where the time of one operation goes: ``python benchmarks/profiling.py save [LINES]``, by cProfile, of ours.

The profiler makes short functions look dearer than they are; the bench's own figures are without it.
"""

import cProfile
import json
import os
import pstats
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), *(str(path) for path in sorted(HERE.parent.glob("packages/*/src")))]

CALLS = 1000


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
        print(worker.prepare(name)["is_supported"] or "not supported")
        calls = max(1, min(CALLS, worker.calibrate() * 20))
        worker.slice(calls)
        worker.get_ready(calls)
        profile = cProfile.Profile()
        profile.enable()
        worker.run()
        profile.disable()
        print(f"{calls} calls")
        stats = pstats.Stats(profile)
        stats.sort_stats(sys.argv[3] if len(sys.argv) > 3 else "tottime").print_stats(lines)


if __name__ == "__main__":
    main()
