"""What can be made different in one process: pauses at a bad moment, shorter fences, and sabotage."""

import asyncio
import os
import random
import time
from collections.abc import Callable
from dataclasses import replace
from inspect import iscoroutinefunction
from typing import Any

from processes import name_of

from cacheops_core import flows
from cacheops_core.cache import Cache, Lookup
from cacheops_core.stamps import NONCE
from cacheops_core.units import Unit

FENCES = 3.0
"""Seconds after which a writer counts as dead where writers are killed: no COMMIT takes as long."""


def dawdle(cache: Any, number: int) -> None:
    """Let the process pause between its SELECT and its fill now and then, as a busy machine does."""
    _before_storing(cache, number, 0.2, 0.02)


def dawdle_long(cache: Any, number: int) -> None:
    """Let it pause there often, and for longer than most writes take."""
    _before_storing(cache, number, 0.4, 0.3)


def _before_storing(cache: Any, number: int, share: float, most: float) -> None:
    execute, chance = cache.driver.execute, random.Random(f"pause {number}")

    def pause() -> float:
        return chance.random() * most if chance.random() < share else 0.0

    def slow(request: Any) -> Any:
        if name_of(request) == "SET":
            time.sleep(pause())
        return execute(request)

    async def slow_async(request: Any) -> Any:
        if name_of(request) == "SET":
            await asyncio.sleep(pause())
        return await execute(request)

    cache.driver.execute = slow_async if iscoroutinefunction(execute) else slow


def let_fences_end_soon(cache: Any, number: int) -> None:
    """Shorten the time after which a writer counts as dead."""
    cache.options = replace(cache.options, fence_lifetime=FENCES)


TWEAKS: dict[str, Callable[[Any, int], None]] = {
    "pauses": dawdle,
    "long pauses": dawdle_long,
    "short fences": let_fences_end_soon,
}
"""Each takes the cache of its process, and the number of the process."""


def invalidate_nothing(cache: Any) -> None:
    """Sabotage: let the writes of this process be none of the cache's business."""

    async def nothing(unit: Unit) -> None:
        """Stand in for a coroutine function."""

    is_async = iscoroutinefunction(cache.fence)
    cache.fence = cache.release = nothing if is_async else lambda unit: None


def acquire_late(_: Any = None) -> None:
    """Sabotage: take the stamps after the SELECT, as if they could not have changed since the miss."""
    fill = Cache.fill

    def fill_under_new_stamps(cache: Cache, lookup: Lookup, value: Any) -> bool:
        flow = flows.acquire(lookup.stamps, 600_000, cache.options.max_schemes, os.urandom(NONCE))
        lookup.head = cache.driver.run(flow).head
        return fill(cache, lookup, value)

    Cache.fill = fill_under_new_stamps  # type: ignore[method-assign]


SABOTAGE: dict[str, tuple[str, Callable[[Any], None]]] = {
    "no invalidation": ("writer", invalidate_nothing),
    "late stamps": ("reader", acquire_late),
}
"""What can be broken, in which role."""
