"""Trying a method of a queryset to see what it asks, where nobody can answer it yet: on an event loop, for one."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

on_loop: ContextVar[Any] = ContextVar("cacheops_on_loop", default=None)
"""What has the answers while a method is tried on an event loop, where no database can be asked (`async_reads`), or
only to see what it asks (`explaining`)."""


class NotOnLoop(BaseException):
    """Raised by a method that is tried on an event loop and needs a thread."""
