"""Where the answers of views are kept, and what is known of each page: in the project's cache, or in a simple one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

from asgiref.sync import sync_to_async

from cacheops_core.cache import Cache
from cacheops_core.conditions import Dependencies

from .reasons import Uncacheable
from .results import Results, Unstored
from .varying import Dimensions

__all__ = ["PAGES", "ProjectShelf", "Shelf", "SimpleShelf"]

PAGES = "cacheops.pages"
"""The table, in the words of the core, whose rows are pages: to drop a page is to write such a row.

So whoever computes an answer while its page is dropped does not keep it.
"""

KNOWN_PAGES = 10_000


class Shelf(ABC):
    """Answers of one view, or of several that were decorated at once."""

    identity: Any = None
    """What tells the answers that are kept here from others of the same view."""

    def __init__(self) -> None:
        self.usual: Dimensions = frozenset()
        """What the last page that was learned varies by: the best guess for one that nobody knows."""
        self._known: dict[bytes, Dimensions] = {}

    def dimensions(self, page: bytes) -> Dimensions | None:
        """Return what the answers to a page vary by; None if that is not known."""
        known = self._known.get(page)
        if known is None and (kept := self.remembered(("view", page))) is not None:
            known = self.note(page, frozenset(map(str, kept)))
        return known

    def learn(self, page: bytes, dimensions: Dimensions) -> None:
        """Remember what the answers to a page vary by."""
        self.usual = self.note(page, dimensions)
        self.remember(("view", page), sorted(dimensions))

    def is_known(self, page: bytes) -> bool:
        """Tell whether this process knows what a page varies by, without asking the cache."""
        return page in self._known

    def note(self, page: bytes, dimensions: Dimensions) -> Dimensions:
        """Remember in this process alone what the answers to a page vary by."""
        if len(self._known) >= KNOWN_PAGES:
            self._known.clear()
        self._known[page] = dimensions
        return dimensions

    # What the shelves do differently

    @abstractmethod
    def remembered(self, key: Any) -> Any:
        """Return what is remembered under a key, None if nothing is."""

    @abstractmethod
    def remember(self, key: Any, value: Any) -> None:
        """Remember something, as long as an answer is kept at least."""

    @abstractmethod
    def answer(
        self, view: Callable[..., Any], make_key: Callable[[], bytes], compute: Callable[[], Any], page: bytes
    ) -> Any:
        """Return what is kept, or else what is computed; that may be raised as Unstored."""

    @abstractmethod
    async def aanswer(
        self,
        view: Callable[..., Any],
        make_key: Callable[[], bytes],
        compute: Callable[[], Awaitable[Any]],
        page: bytes,
        is_pure: bool,
    ) -> Any:
        """Return what `answer` does, computed on the event loop of the caller.

        ``is_pure`` tells whether the key can be made there, too, without the database.
        """

    @abstractmethod
    def drop(self, page: bytes) -> None:
        """Drop all answers to a page."""


class ProjectShelf(Shelf):
    """Answers in the project's cache."""

    def __init__(self, results: Results) -> None:
        super().__init__()
        self.results: Results = results
        self.identity: Any = results

    def remembered(self, key: Any) -> Any:
        cache = self._cache()
        return cache and cache.get(key, None)

    def remember(self, key: Any, value: Any) -> None:
        if (cache := self._cache()) is not None:
            cache.set(key, value, self.results.timeout())

    def answer(
        self, view: Callable[..., Any], make_key: Callable[[], bytes], compute: Callable[[], Any], page: bytes
    ) -> Any:
        return self.results.answer(view, make_key, compute, row_of(page))

    async def aanswer(
        self,
        view: Callable[..., Any],
        make_key: Callable[[], bytes],
        compute: Callable[[], Awaitable[Any]],
        page: bytes,
        is_pure: bool,
    ) -> Any:
        return await self.results.aanswer(view, make_key, compute, row_of(page), is_pure=is_pure)

    def drop(self, page: bytes) -> None:
        if (cache := self._cache()) is not None:
            cache.invalidate(PAGES, {"page": page.hex()})

    def _cache(self) -> Cache | None:
        try:
            return self.results.cache(None)
        except Uncacheable:
            return None  # which is noted where the answer is asked for


class SimpleShelf(Shelf):
    """Answers in a cache whose values depend on nothing but time, such as one of files.

    Each page has a number that is drawn anew when the page is dropped: what is computed meanwhile is kept under the
    number that was found before.
    """

    def __init__(self, cache: Any, **options: Any) -> None:
        super().__init__()
        self.cache = cache
        self.options = options

    def remembered(self, key: Any) -> Any:
        return self.cache.get(key, None)

    def remember(self, key: Any, value: Any) -> None:
        self.cache.set(key, value)

    def answer(
        self, view: Callable[..., Any], make_key: Callable[[], bytes], compute: Callable[[], Any], page: bytes
    ) -> Any:
        try:
            return self.cache.get_or_compute((self._number(page), make_key()), {}, compute, **self.options)
        except Unstored as unstored:
            return unstored.value

    async def aanswer(
        self,
        view: Callable[..., Any],
        make_key: Callable[[], bytes],
        compute: Callable[[], Awaitable[Any]],
        page: bytes,
        is_pure: bool,
    ) -> Any:
        def look() -> tuple[Any, Any]:
            key = self._number(page), make_key()
            return key, self.cache.get(key, None)

        key, found = await sync_to_async(look, thread_sensitive=True)()
        if found is None:
            try:
                found = await compute()
            except Unstored as unstored:
                return unstored.value
            timeout = {name: value for name, value in self.options.items() if name == "timeout"}
            await sync_to_async(self.cache.set)(key, found, **timeout)
        return found

    def drop(self, page: bytes) -> None:
        self.cache.delete(("page", page))

    def _number(self, page: bytes) -> str:
        key = ("page", page)
        number = self.cache.get(key, None)
        if number is None:
            self.cache.add(key, uuid4().hex)
            number = self.cache.get(key, None)
        return str(number)


def row_of(page: bytes) -> Dependencies:
    """Return what every answer to a page depends on besides, so that they can be dropped together."""
    return Dependencies.coerce({PAGES: [{"page": page.hex()}]})
