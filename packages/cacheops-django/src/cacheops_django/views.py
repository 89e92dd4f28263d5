"""Views whose answers are kept: until a sample changes (`cached_view_as`), or for a time (`cached_view`).

An answer is kept by scheme, host, path and query of the URL, by the arguments of the view, and by what the view has
been seen to vary by (`varying`). One process learns what a page varies by from the first answer to it; others find
it in the cache. To look under too little is of no harm: an answer is only ever kept under all that it varied by, so
whatever is found there was an answer to a request that looked the same.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Coroutine
from datetime import timedelta
from functools import partial, update_wrapper
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, cast, overload
from urllib.parse import parse_qsl, unquote, urlsplit

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.http import HttpRequest

from cacheops_core.decorators import hand_on
from cacheops_core.errors import ConfigurationError
from cacheops_core.keys import call_key, extra_of

from . import conf
from .functions import function_and_timeout
from .results import Results, Sample
from .shelves import ProjectShelf, Shelf
from .varying import has_body
from .visits import Visit
from .watched import unwatched

__all__ = ["CachedView", "ViewDecorator", "cached_view", "cached_view_as", "decorator"]

P = ParamSpec("P")
R = TypeVar("R")

DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class CachedView(Generic[P, R]):
    """A view that is called only for answers that are not kept."""

    __wrapped__: Callable[P, R]

    def __init__(self, view: Callable[P, R], shelf: Shelf, extra: Any) -> None:
        update_wrapper(self, view)
        hand_on(self, "ainvalidate", "invalidate")
        self._shelf = shelf
        self._extra = extra
        self._function, self._instance = unbound(view)
        self._takes_self = self._instance is None and _takes_self(self._function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        visit = self._visit(args, kwargs)
        if visit is None:
            return self.__wrapped__(*args, **kwargs)
        return cast(R, visit.answer(partial(self.__wrapped__, *args, **kwargs)))

    def invalidate(self, page: str | HttpRequest, *args: Any, **kwargs: Any) -> None:
        """Drop the answers that are kept for a page, in every language and for everybody.

        ``page`` is an absolute URL or a request; after it come the arguments of the view, as in its URL pattern.
        """
        self._shelf.drop(self._page(page, args, kwargs))

    async def ainvalidate(self, page: str | HttpRequest, *args: Any, **kwargs: Any) -> None:
        """Drop the answers that are kept for a page, as `invalidate` does."""
        await sync_to_async(self.invalidate)(page, *args, **kwargs)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        bound = cast(Any, self.__wrapped__).__get__(instance, owner)
        return self if bound is self.__wrapped__ else type(self)(bound, self._shelf, self._extra)

    def __cache_key__(self) -> Any:
        return self.__wrapped__, self._extra, self._shelf.identity

    def __repr__(self) -> str:
        return f"<cached {self.__wrapped__!r}>"

    def _visit(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Visit | None:
        """Return what is to be asked for a request; None if its answer is not to be cached."""
        function, instance = self._function, self._instance
        rest, named = list(args), dict(kwargs)
        if self._takes_self and rest:
            instance = rest.pop(0)
        request = rest.pop(0) if rest else named.pop("request", None)
        if not isinstance(request, HttpRequest):
            raise ConfigurationError(
                f"{function!r} is cached as a view and got no request first, but {request!r}"
            )
        if request.method not in ("GET", "HEAD") or not conf.current().enabled or has_body(request):
            return None
        page = self._page(request, tuple(rest), named)
        return Visit(self._shelf, function, instance, request, page)

    def _page(self, page: str | HttpRequest, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
        """Return what stands for one page of this view, whoever looks at it."""
        # Of a method it is that of all objects: who drops a page has none of them at hand.
        before = (None,) if self._takes_self or self._instance is not None else ()
        try:
            told = extra_of(self._extra, (page, *args), kwargs)
        except Exception as error:
            if isinstance(page, HttpRequest):
                raise
            raise ConfigurationError(
                f"extra={self._extra!r} does not take a URL ({error}): give invalidate() a request"
            ) from error
        return call_key(self._function, (*before, url_of(page), *args), kwargs, (told, self._shelf.identity))


class CachedCoroutineView(CachedView[P, Coroutine[Any, Any, Any]]):
    """The same for ``async def``."""

    def __init__(self, view: Callable[P, Coroutine[Any, Any, Any]], shelf: Shelf, extra: Any) -> None:
        super().__init__(view, shelf, extra)
        markcoroutinefunction(self)

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        visit = self._visit(args, kwargs)
        if visit is None:
            return await self.__wrapped__(*args, **kwargs)
        return await visit.aanswer(partial(self.__wrapped__, *args, **kwargs))


class ViewDecorator(Protocol):
    """What makes a view a cached one."""

    def __call__(self, view: Callable[P, R], /) -> CachedView[P, R]: ...


def decorator(shelf: Shelf, extra: Any) -> ViewDecorator:
    """Return what makes a view one whose answers are kept on this shelf."""

    def decorate(view: Callable[..., Any]) -> CachedView[..., Any]:
        if not callable(view) or isinstance(view, type):
            raise ConfigurationError(
                f"only views can be cached, got {view!r}: of a class, cache its as_view()"
            )
        kind = CachedCoroutineView if iscoroutinefunction(view) else CachedView
        return kind(view, shelf, extra)

    return cast(ViewDecorator, decorate)


def cached_view_as(
    *samples: Sample,
    timeout: Any = None,
    extra: Any = None,
    lock: bool | None = None,
    keep_fresh: bool = True,
    stale: float = 0.0,
) -> ViewDecorator:
    """Keep the answers of a view until one of the samples changes; the arguments are those of `cached_as`.

    ``extra`` may be a function that is given the request, and the arguments of the view.
    """
    if not samples:
        raise ConfigurationError(
            "cached_view_as needs a queryset, a model or an instance to depend on, got none"
        )
    return decorator(ProjectShelf(Results(samples, timeout, lock=lock, stale=stale)), extra)


@overload
def cached_view(view: Callable[P, R], /) -> CachedView[P, R]: ...


@overload
def cached_view(
    view: float | timedelta | None = None,
    /,
    extra: Any = ...,
    *,
    timeout: Any = ...,
    lock: bool = ...,
    stale: float = ...,
) -> ViewDecorator: ...


def cached_view(
    view: Callable[..., Any] | float | timedelta | None = None,
    /,
    extra: Any = None,
    *,
    timeout: Any = None,
    lock: bool = False,
    stale: float = 0.0,
) -> Any:
    """Keep the answers of a view for ``timeout`` seconds, which may also come first, for ever if that is None."""
    function, timeout = function_and_timeout(view, timeout)
    decorate = decorator(ProjectShelf(Results((), timeout, lock=lock, stale=stale)), extra)
    return decorate if function is None else decorate(function)


def url_of(page: str | HttpRequest) -> tuple[Any, ...]:
    """Return what tells a URL from others: its scheme, host, path and what stands in its query, in no order."""
    if isinstance(page, HttpRequest):
        scheme, host, path = page.scheme or "", page.get_host(), page.path
        query = unwatched(page, "QUERY_STRING") or ""
    else:
        parts = urlsplit(page)
        scheme, host, path, query = parts.scheme, parts.netloc, unquote(parts.path) or "/", parts.query
        if not scheme or not host:
            raise ConfigurationError(
                f"a page is known by its absolute URL, as http://example.com/news, or by a request, got {page!r}"
            )
    # Latin-1 tells all bytes apart, whatever encoding the view is going to read them in.
    pairs = parse_qsl(query, keep_blank_values=True, encoding="latin-1")
    host = host.lower().removesuffix(DEFAULT_PORTS.get(scheme, ""))
    return scheme, host, path, sorted(pairs, key=lambda pair: pair[0])


def unbound(view: Any) -> tuple[Any, Any]:
    """Return a view as a function, and the object that it is a method of, None if there is none."""
    while isinstance(view, partial) and not view.args and not view.keywords:
        # Django's method_decorator hands decorators a method in this form.
        view = view.func
    return (view.__func__, view.__self__) if isinstance(view, types.MethodType) else (view, None)


def _takes_self(function: Any) -> bool:
    try:
        return next(iter(inspect.signature(function).parameters), None) == "self"
    except (TypeError, ValueError):
        return False
