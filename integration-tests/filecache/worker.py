"""One of the processes of these tests: ``worker.py churn|compute DIRECTORY SEED SECONDS``; it prints JSON."""

import json
import random
import sys
import threading
import time
from pathlib import Path

from cacheops_filecache import FileCache

KEYS = range(50)
THREADS = 50


def value_of(key: int, writer: int, number: int) -> list[str]:
    """Return a value that shows who wrote it for what, and all of it: a word, up to 30,000 times."""
    return [f"{key}-{writer}-{number}"] * (number * 7919 % 30_000 + 1)


def is_whole(key: int, value: list[str]) -> bool:
    """Return whether somebody wrote this value for this key, and all of it."""
    wanted, writer, number = map(int, value[0].split("-"))
    return key == wanted and value == value_of(key, writer, number)


def churn(directory: str, seed: int, seconds: float) -> dict[str, int]:
    """Write, read, delete and clean at random; return what was done and what was read."""
    chance, cache = random.Random(seed), FileCache(directory, timeout=1, max_bytes=2_000_000)
    done = {"written": 0, "hits": 0, "misses": 0, "broken": 0, "deleted": 0, "cleaned": 0}
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        key, action = chance.choice(KEYS), chance.random()
        if action < 0.3:
            done["written"] += 1
            cache.set(key, value_of(key, seed, done["written"]), timeout=chance.choice([0.02, 1, None]))
        elif action < 0.95:
            value = cache.get(key, None)
            done["misses" if value is None else "hits"] += 1
            done["broken"] += value is not None and not is_whole(key, value)
        elif action < 0.99:
            done["deleted"] += cache.delete(key)
        else:
            done["cleaned"] += cache.clean().removed
    return done


def expensive(directory: str) -> str:
    """Leave a mark for each time that this is computed, and take half a second."""
    with (Path(directory) / "marks").open("a") as marks:
        marks.write("x")
    time.sleep(0.5)
    return "value"


def compute(directory: str, seed: int, seconds: float) -> dict[str, int]:
    """Call one locked function from many threads at once; return how many got its value."""
    function = FileCache(Path(directory) / "cache").cached(lock=True)(expensive)
    results: list[str] = []
    threads = [threading.Thread(target=lambda: results.append(function(directory))) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds)
    return {"values": results.count("value")}


if __name__ == "__main__":
    verb, directory, seed, seconds = sys.argv[1:]
    print(json.dumps({"churn": churn, "compute": compute}[verb](directory, int(seed), float(seconds))))
