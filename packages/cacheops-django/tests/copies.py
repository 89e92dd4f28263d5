"""Having results kept in the process, with somebody who listens to what goes."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.test import override_settings

from cacheops_django import caches
from cacheops_django.functions import cached


@contextmanager
def keeping_copies(profiles: Any) -> Iterator[None]:
    """Keep copies as these profiles say, for ever, from the moment at which the server tells what goes."""
    with override_settings(CACHEOPS=profiles, CACHEOPS_NEAR_MAX_AGE=86400):
        near: Any = caches.current().near
        is_open, has_heard = threading.Event(), threading.Event()
        opening, hearing = near.open, near.hear
        near.open = lambda: (opening(), is_open.set())
        near.hear = lambda message: (hearing(message), b"nothing" in message and has_heard.set())
        cached(near=True)(_nothing)()
        assert near.is_open or is_open.wait(10)
        # What is heard of our own writes comes before this, and drops no copies that are made later.
        caches.current().invalidate("nothing")
        assert has_heard.wait(10)
        yield


def _nothing() -> None:
    """Is asked for, so that somebody listens."""
