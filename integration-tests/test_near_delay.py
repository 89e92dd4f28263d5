"""How old near copies get: one process writes, another reads, and the time between is measured."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import IO

import pytest
import redis

from cacheops_core.cache import Cache
from cacheops_core.testing import Server, wait_for

WRITES = 100

# Its clock is the machine's, and so ours.
WRITER = """
import sys, time
from cacheops_core.cache import Cache

cache = Cache(sys.argv[1])
value = 0
for line in sys.stdin:
    with cache.writing(("counter", {"id": 1})):
        value += 1
        cache.driver.client.set("database", value)
    print(time.monotonic(), flush=True)
"""


@pytest.fixture
def writer(redis_server: Server) -> Iterator[tuple[IO[str], IO[str]]]:
    command = [sys.executable, "-c", WRITER, redis_server.url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        yield process.stdin, process.stdout


def test_a_copy_is_old_for_as_long_as_its_message_takes(
    redis_client: redis.Redis, writer: tuple[IO[str], IO[str]], tell: Callable[[str], None]
) -> None:
    near_max_age = 30.0
    cache = Cache(redis_client, near_max_age=near_max_age)
    orders, answers = writer

    def read() -> int:
        return cache.get_or_compute(
            "k", {"counter": [{"id": 1}]}, lambda: int(redis_client.get("database") or 0), near=True
        )

    read()
    wait_for(lambda: cache.near.is_open)
    delays = []
    for value in range(WRITES):
        assert read() == read() == value
        assert len(cache.near) == 1
        old = 0.0
        orders.write("\n")
        orders.flush()
        while read() == value:
            old = time.monotonic()  # when the last old read began to be over
        returned = float(answers.readline())
        delays.append(max(0.0, old - returned))
    tell(
        f"near copies were old for {statistics.median(delays) * 1000:.2f} ms after a write in the median, "
        f"{max(delays) * 1000:.2f} ms at most of {WRITES}"
    )
    # Not by their age, but by their messages.
    assert max(delays) < near_max_age / 3
    cache.close()
