"""The file cache under many processes for a long time, with some of them killed."""

import json
import random
import runpy
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from cacheops_filecache import FileCache

WORKER = Path(__file__).with_name("worker.py")
SECONDS = 8
PROCESSES = 8

is_whole = runpy.run_path(str(WORKER))["is_whole"]


def start(verb: str, directory: Path, seed: int, seconds: float) -> "subprocess.Popen[str]":
    """Start a worker."""
    command = [sys.executable, str(WORKER), verb, str(directory), str(seed), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def report_of(process: "subprocess.Popen[str]") -> dict[str, int]:
    """Return what a worker has to tell at its end."""
    output, _ = process.communicate(timeout=SECONDS + 100)
    assert process.returncode == 0
    return dict(json.loads(output))


def test_all_values_are_whole_under_writers_readers_deleters_and_cleaners(tmp_path: Path) -> None:
    workers = [start("churn", tmp_path, seed, SECONDS) for seed in range(PROCESSES)]
    done: Counter[str] = Counter()
    for worker in workers:
        done.update(report_of(worker))
    print(dict(done))
    assert done["broken"] == 0
    assert min(done[verb] for verb in ("written", "hits", "deleted", "cleaned")) > 100


def test_writers_killed_at_random_leave_whole_values_and_nothing_that_cleaning_keeps(tmp_path: Path) -> None:
    chance, deadline, seed, killed = random.Random(0), time.monotonic() + SECONDS, 0, 0
    workers = [start("churn", tmp_path, seed, 1000) for seed in range(3)]
    readers = [start("churn", tmp_path, 1000 + seed, SECONDS) for seed in range(2)]
    while time.monotonic() < deadline:
        time.sleep(chance.uniform(0, 0.5))  # any moment is as good as another
        victim = workers.pop(0)
        victim.kill()
        victim.communicate()
        killed, seed = killed + 1, seed + 1
        workers.append(start("churn", tmp_path, 100 + seed, 1000))
    for worker in workers:
        worker.kill()
        worker.communicate()
    assert [report_of(reader)["broken"] for reader in readers] == [0, 0]
    assert killed > 10
    cache = FileCache(tmp_path)
    assert all(is_whole(key, value) for key, value in cache.get_many(range(50)).items())
    cache.clean()
    assert {file.suffix for file in tmp_path.iterdir()} <= {".entry"}
    cache.invalidate_all()
    assert list(tmp_path.iterdir()) == []


def test_fifty_threads_in_each_of_four_processes_compute_a_locked_key_once(tmp_path: Path) -> None:
    workers = [start("compute", tmp_path, seed, 60) for seed in range(4)]
    assert [report_of(worker) for worker in workers] == [{"values": 50}] * 4
    assert (tmp_path / "marks").read_text() == "x"
