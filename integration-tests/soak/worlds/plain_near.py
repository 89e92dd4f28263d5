"""The same with copies of entries in each process's own memory."""

from typing import Any

from soak.worlds import plain
from soak.worlds.plain import Writer, begin, caches, fill

__all__ = ["Reader", "Writer", "begin", "caches", "fill"]


class Reader(plain.Reader):
    """Is given copies."""

    def _ask(self, key: Any, dependencies: Any, compute: Any, **options: Any) -> Any:
        return super()._ask(key, dependencies, compute, near=True, **options)
