"""One request to a cached view: where its answer is looked for, and whether the view's own can be kept there."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, cast

from asgiref.sync import sync_to_async
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from cacheops_core.keys import stable_key

from . import responses, varying
from .results import NOT_GIVEN, Unstored
from .shelves import Shelf
from .varying import Dimensions, Watch

__all__ = ["Visit"]

log: logging.Logger = logging.getLogger("cacheops")


class Visit:
    """One request to a cached view."""

    def __init__(
        self, shelf: Shelf, function: Callable[..., Any], instance: Any, request: HttpRequest, page: bytes
    ) -> None:
        self.shelf = shelf
        self.function = function
        self.instance = instance
        self.request = request
        self.page = page
        self.known: Dimensions | None = None
        """What the page is known to vary by."""
        self.looked: Dimensions = frozenset()
        """What its answer is looked for under."""
        self._made: Any = NOT_GIVEN
        """What the view itself has answered."""
        self._is_learning = False
        """Whether it could not be kept where it was looked for."""

    def answer(self, view: Callable[[], Any]) -> HttpResponseBase:
        """Return the answer that is kept, or else the view's, which is kept if it may be."""
        if not self.look():
            with suppress(Unstored):
                self._compute(view)
            return cast(HttpResponseBase, self._made)
        found = self.shelf.answer(self.function, self.key, partial(self._compute, view), self.page)
        return self._response(found)

    async def aanswer(self, view: Callable[[], Awaitable[Any]]) -> HttpResponseBase:
        """Return the answer as `answer` does, from a coroutine function."""
        is_known = self.shelf.is_known(self.page)
        may_be_there = self.look() if is_known else await sync_to_async(self.look)()
        if not may_be_there:
            with suppress(Unstored):
                await self._acompute(view)
            return cast(HttpResponseBase, self._made)
        is_pure = is_known and "session" not in self.looked
        compute = partial(self._acompute, view)
        found = await self.shelf.aanswer(self.function, self.key, compute, self.page, is_pure)
        return self._response(found)

    def look(self) -> bool:
        """Choose what to look under; return whether the answer to this request may be found there."""
        self.known = self.shelf.dimensions(self.page)
        self.looked = self.shelf.usual if self.known is None else self.known
        return varying.may_ask(self.request, self.looked)

    def key(self) -> bytes:
        """Return the key of the answer to this request."""
        return stable_key("view", self.page, self.instance, varying.values(self.request, self.looked))

    def _response(self, found: Any) -> HttpResponseBase:
        if self.known is None and not self._is_learning:
            # An answer has been kept, or was found, under what was only a guess.
            self.shelf.note(self.page, self.looked)
        return responses.from_data(found) if self._made is NOT_GIVEN else self._made

    def _compute(self, view: Callable[[], Any]) -> Any:
        watch = Watch(self.request)
        with watch.watching():
            response = view()
            if hasattr(response, "render"):
                response = response.render()
        learned = self._weigh(watch, response)
        if learned is not None:
            self.shelf.learn(self.page, learned)
            raise Unstored(response)
        return responses.to_data(response)

    async def _acompute(self, view: Callable[[], Awaitable[Any]]) -> Any:
        watch = Watch(self.request)
        with watch.watching():
            response = await view()
            if hasattr(response, "render"):
                response = await sync_to_async(response.render)()
        learned = self._weigh(watch, response)
        if learned is not None:
            await sync_to_async(self.shelf.learn)(self.page, learned)
            raise Unstored(response)
        return responses.to_data(response)

    def _weigh(self, watch: Watch, response: HttpResponseBase) -> Dimensions | None:
        """Return None if the response can be kept where it was looked for; else what the page varies by.

        Raises it as Unstored if it cannot be kept at all.
        """
        self._made, self._is_learning = response, True
        if not isinstance(response, HttpResponseBase):
            raise Unstored(response)  # Django says best what is wrong with it
        reason, varies_by = watch.refusal(response), watch.learn(response)
        if reason is not None or self.request.method == "HEAD":
            log.debug("An answer of %r is not kept: %s", self.function, reason or "it has no body")
            raise Unstored(response)
        varies_by = varies_by if self.known is None else self.known | varies_by
        self._is_learning = varies_by != self.looked
        return varies_by if self._is_learning else None
