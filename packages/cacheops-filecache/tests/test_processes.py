"""Many processes on the same keys: every value is whole, and dead writers leave nothing for ever."""

import multiprocessing
import os
import random
import signal
import time

import pytest

from cacheops_filecache import FileCache, cleaning

SECONDS = 1.5
KEYS = range(50)


def value_of(key, writer, number):
    """Return a value that shows who wrote it for what, and all of it: a word, up to 30,000 times."""
    word = f"{key}-{writer}-{number}"
    return [word] * (number * 7919 % 30_000 + 1)


def is_whole(key, value):
    """Return whether somebody wrote this value for this key, and all of it."""
    wanted, writer, number = map(int, value[0].split("-"))
    return key == wanted and value == value_of(key, writer, number)


def work(directory, seed, seconds, results):
    """Write, read, delete and clean at random, and report what was read."""
    chance, cache = random.Random(seed), FileCache(directory, timeout=1)
    reads = hits = broken = number = 0
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        key, action = chance.choice(KEYS), chance.random()
        if action < 0.3:
            number += 1
            cache.set(key, value_of(key, seed, number), timeout=chance.choice([0.02, 1, None]))
        elif action < 0.95:
            reads += 1
            value = cache.get(key, None)
            if value is not None:
                hits += 1
                broken += not is_whole(key, value)
        elif action < 0.99:
            cache.delete(key)
        else:
            cache.clean()
    results.put((reads, hits, broken))


@pytest.fixture(scope="module")
def processes():
    # Forked, so that it does not matter how these test modules are named and found.
    return multiprocessing.get_context("fork")


def start(processes, directory, count, seconds):
    results = processes.Queue()
    running = [
        processes.Process(target=work, args=(str(directory), seed, seconds, results)) for seed in range(count)
    ]
    [process.start() for process in running]
    return running, results


def test_every_value_that_is_read_is_whole(processes, tmp_path):
    running, results = start(processes, tmp_path, 8, SECONDS)
    counts = [results.get(timeout=60) for _ in running]
    [process.join(30) for process in running]
    reads, hits, broken = map(sum, zip(*counts, strict=True))
    assert broken == 0
    assert hits > 100, reads
    assert {process.exitcode for process in running} == {0}


def test_writers_that_are_killed_leave_whole_values_and_nothing_for_ever(processes, tmp_path):
    chance = random.Random(1)
    for _ in range(4):
        running, _ = start(processes, tmp_path, 4, 60)
        time.sleep(chance.uniform(0.2, 0.5))  # let them work; whenever it ends is as good as any other moment
        [os.kill(process.pid, signal.SIGKILL) for process in running]
        [process.join(30) for process in running]
        cache = FileCache(tmp_path)
        assert all(is_whole(key, value) for key, value in cache.get_many(KEYS).items())
    cache.clean()
    assert {name.suffix for name in tmp_path.iterdir()} <= {".entry"}
    cache.invalidate_all()
    assert list(tmp_path.iterdir()) == []


def count(directory, times):
    cache = FileCache(directory)
    for _ in range(times):
        cache.incr("number")


def test_no_increment_is_lost(processes, tmp_path):
    running = [processes.Process(target=count, args=(str(tmp_path), 25)) for _ in range(4)]
    [process.start() for process in running]
    [process.join(60) for process in running]
    assert FileCache(tmp_path).get("number") == 100


def add(directory, results):
    results.put(FileCache(directory).add("key", os.getpid()))


def test_one_of_many_adds(processes, tmp_path):
    results = processes.Queue()
    running = [processes.Process(target=add, args=(str(tmp_path), results)) for _ in range(8)]
    [process.start() for process in running]
    assert sorted(results.get(timeout=60) for _ in running) == [False] * 7 + [True]
    [process.join(30) for process in running]


def expensive(path):
    """Leave a mark for each time that this is computed."""
    with open(path, "a") as marks:  # noqa: PTH123
        marks.write("x")
    time.sleep(0.1)  # the time that the work takes
    return "value"


def call(directory, path, barrier, results):
    function = FileCache(directory).cached(lock=True)(expensive)
    barrier.wait(60)
    results.put(function(path))


def test_with_a_lock_one_of_many_processes_computes(processes, tmp_path):
    marks, results, barrier = tmp_path / "marks", processes.Queue(), processes.Barrier(6)
    running = [
        processes.Process(target=call, args=(str(tmp_path / "cache"), str(marks), barrier, results))
        for _ in range(6)
    ]
    [process.start() for process in running]
    assert [results.get(timeout=60) for _ in running] == ["value"] * 6
    [process.join(30) for process in running]
    assert marks.read_text() == "x"


def hold(directory, is_held):
    with FileCache(directory).lock("name"):
        is_held.set()
        signal.pause()


def test_a_lock_whose_holder_dies_is_free_at_once(processes, tmp_path, monkeypatch):
    is_held = processes.Event()
    holder = processes.Process(target=hold, args=(str(tmp_path), is_held))
    holder.start()
    assert is_held.wait(30)
    monkeypatch.setattr(cleaning, "_LOCK_SECONDS", -1)
    cache = FileCache(tmp_path)
    assert cache.clean().removed == 0
    holder.kill()
    holder.join(30)
    began = time.monotonic()
    with cache.lock("name"):
        assert time.monotonic() - began < 10.0
    assert cache.clean().removed == 1
