"""The workers as the runner sees them: an order goes down a pipe, an answer comes back."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class WorkerFailed(Exception):
    """A worker could not do what it was told; the message is its traceback."""


class Process:
    """A worker in a process of its own."""

    def __init__(self, python: Path, environ: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [python, "-m", "bench.worker"],
            env=dict(environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def do(self, order: str, *arguments: Any) -> Any:
        """Have something done, and return its result."""
        self.begin(order, *arguments)
        return self.result()

    def begin(self, order: str, *arguments: Any) -> None:
        """Have something done, and do not wait for it."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([order, *arguments]) + "\n")
        self._process.stdin.flush()

    def result(self) -> Any:
        """Wait for what was begun, and return its result."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise WorkerFailed(f"the worker has ended with status {self._process.wait()}")
        answer = json.loads(line)
        if "raised" in answer:
            raise WorkerFailed(answer["raised"])
        return answer["returned"]

    def end(self) -> None:
        """Let it end, and wait for that."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


@contextmanager
def running(python: Path, environ: Mapping[str, str]) -> Iterator[Process]:
    """Yield a worker that ends with the block."""
    process = Process(python, environ)
    try:
        yield process
    finally:
        process.end()
