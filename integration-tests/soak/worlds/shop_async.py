"""The shop as coroutines see it: readers ask on an event loop, several things at once; writers are those of `shop`."""

from typing import Any

from processes import Environment

from soak.worlds import shop
from soak.worlds.shop import caches, fill

__all__ = ["begin", "caches", "fill"]


def begin(environ: Environment) -> None:
    """Make this process one of the project."""
    global Reader, Writer
    shop.begin(environ)
    from soak.worlds.shop_async_readers import Reader
    from soak.worlds.shop_writers import Writer


Reader: Any
Writer: Any
