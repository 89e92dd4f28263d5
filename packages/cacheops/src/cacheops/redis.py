"""The client of the project's cache, under the name by which users of django-cacheops import it."""

from __future__ import annotations

from typing import Any

from cacheops_django import caches

__all__ = ["redis_client"]


class ProjectClient:
    """The words of the client that the cache uses at the moment: that of another server if the settings change.

    It is made when it is first asked for something, and a forked process has one of its own.
    """

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        return getattr(caches.current().driver.client, name)

    def __repr__(self) -> str:
        return repr(caches.current().driver.client)


redis_client: ProjectClient = ProjectClient()
"""The client, for commands of your own."""
