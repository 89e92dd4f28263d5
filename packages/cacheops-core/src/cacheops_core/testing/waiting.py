"""Waiting for what others do, by asking again and again; for what gives no sign by itself."""

import time
from collections.abc import Callable

PATIENCE = 30.0
"""Seconds after which what has not happened never will."""


def wait_for(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait until a condition is true; raise AssertionError if that takes too many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"this has not come to pass in {seconds} s"
        time.sleep(0.01)
