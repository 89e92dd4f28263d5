"""What a process does with the cache, and by which connection."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from project.shop.models import Tag

from cacheops_core.flows import Command
from cacheops_django import caches


def connection_id() -> int:
    """Return the server's number of the connection by which this thread asks it."""
    return int(caches.current().driver.execute(Command("CLIENT", ("ID",))))


NOTHING = nullcontext()


def write_and_read(number: int, writing: AbstractContextManager[Any] = NOTHING) -> bool:
    """Rename a row of its own and ask for it, twice, again and again; return whether all answers were right."""
    with writing:
        tag, _ = Tag.objects.get_or_create(pk=1000 + number)
    for version in range(3):
        tag.name = f"tag {number} v{version}"
        with writing:
            tag.save()
        if [Tag.objects.get(pk=tag.pk).name for _ in range(2)] != [tag.name] * 2:
            return False
    return True
