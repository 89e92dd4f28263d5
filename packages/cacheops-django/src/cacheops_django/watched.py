"""What a request brings, in mappings that note what is looked at: its cookies, its headers, the server's own words.

A view has many ways to the same cookie: ``request.COOKIES``, ``request.META["HTTP_COOKIE"]``, ``request.headers``, and
below them WSGI's ``environ`` or ASGI's ``scope``. The story of the one that was not watched: A has a cookie, the view
reads it from ``META`` and greets A; the page seems to vary by nothing, and B is greeted as A. So each of the ways is
watched for as long as the view runs, and is the plain one again before and after.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.http import HttpRequest
from django.http.request import HttpHeaders

EVERYTHING = "everything"
"""Noted where all of the headers are looked at, or what cannot be told apart: no other request is like this one."""

IN_URL = frozenset(
    {
        *("REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING"),
        *("SERVER_NAME", "SERVER_PORT", "wsgi.url_scheme"),
    }
)
"""Keys of ``META`` that say what an answer is kept by in any case."""

IN_URL_OF_SCOPE = frozenset(
    {"type", "asgi", "method", "scheme", "server", "root_path", "path", "raw_path", "query_string"}
)
"""Keys of an ASGI scope that say no more than that; the others are the headers, and whatever came with the visitor."""

DERIVED = ("accepted_types", "accepted_types_by_precedence")
"""Attributes that a request makes of its headers once, which may have been before the view."""

_HEADER = re.compile(r"[A-Za-z0-9-]+")

PLAIN = (str, bytes, int, float, type(None))


class Watched(dict[Any, Any]):
    """A copy of a mapping that notes which of its keys are looked at, and writes to the original too."""

    def __init__(
        self, original: dict[Any, Any], seen: set[str], one: Callable[[Any], str | None], everything: str
    ) -> None:
        # Past its own methods: where one cached view calls another, it is watched itself.
        super().__init__(dict.items(original))
        self._original = original
        self.seen = seen
        self._one = one
        self._everything = everything

    def note(self, key: Any) -> None:
        """Note that a key was looked at."""
        if (dimension := self._one(key)) is not None:
            self.seen.add(dimension)

    def note_all(self) -> None:
        """Note that all keys were looked at."""
        self.seen.add(self._everything)

    def __reduce_ex__(self, protocol: Any) -> Any:
        # A copy of it outlives the view.
        self.note_all()
        return dict, ([*dict.items(self)],)


def _looking_at_one(name: str) -> Any:
    method = getattr(dict, name)

    def look(self: Watched, key: Any, *args: Any) -> Any:
        self.note(key)
        return method(self, key, *args)

    return look


def _looking_at_all(name: str) -> Any:
    method = getattr(dict, name)

    def look(self: Watched, *args: Any) -> Any:
        self.note_all()
        return method(self, *args)

    return look


def _writing(name: str) -> Any:
    method = getattr(Watched, name)

    def write(self: Watched, *args: Any, **kwargs: Any) -> Any:
        result = method(self, *args, **kwargs)
        getattr(self._original, name)(*args, **kwargs)
        return result

    return write


for _name in ("__getitem__", "__contains__", "get", "pop", "setdefault"):
    setattr(Watched, _name, _looking_at_one(_name))
for _name in (
    *("__iter__", "__reversed__", "__len__", "__repr__", "__eq__", "__ne__", "__or__", "__ror__"),
    *("keys", "values", "items", "copy", "popitem"),
):
    setattr(Watched, _name, _looking_at_all(_name))
for _name in ("__setitem__", "__delitem__", "__ior__", "update", "setdefault", "pop", "popitem", "clear"):
    setattr(Watched, _name, _writing(_name))


@contextmanager
def watching(request: HttpRequest, seen: set[str]) -> Iterator[None]:
    """Note what is looked at of a request for as long as this lasts."""
    attributes = vars(request)
    cookies, meta = request.COOKIES, request.META
    one = _of_meta(request)
    watched_meta = Watched(meta, seen, one, EVERYTHING)
    watched: dict[str, Any] = {
        "COOKIES": Watched(cookies, seen, "cookie:{}".format, "cookies"),
        "META": watched_meta,
        "headers": _headers(meta, seen, one),
    }
    if "environ" in attributes:
        watched["environ"] = watched_meta
    if "scope" in attributes:
        watched["scope"] = Watched(attributes["scope"], seen, _of_scope, EVERYTHING)
    hidden = {name: attributes.pop(name) for name in (*watched, *DERIVED) if name in attributes}
    attributes.update(watched)
    try:
        yield
    finally:
        for name in (*watched, *DERIVED):
            attributes.pop(name, None)
        attributes.update(hidden)
        if isinstance(meta, Watched):
            # By the view that has called this one, whose answer shows what this one has seen.
            meta.seen |= seen


def unwatched(request: HttpRequest, name: str) -> Any:
    """Return what ``META`` has under a key without looking at it: of what counts in any case."""
    return dict.get(request.META, name)


def _headers(meta: dict[str, Any], seen: set[str], one: Callable[[Any], str | None]) -> HttpHeaders:
    headers: Any = HttpHeaders(dict(dict.items(meta)))
    # All its methods go by this one dictionary.
    headers._store = Watched(
        headers._store, seen, lambda name: one(HttpHeaders.to_wsgi_name(name)), EVERYTHING
    )
    return headers  # type: ignore[no-any-return]


def _of_meta(request: HttpRequest) -> Callable[[Any], str | None]:
    """Return what tells by a key of ``META`` what an answer then varies by."""
    meta, known = request.META, IN_URL | _read_for_url(request)

    def one(key: Any) -> str | None:
        if not isinstance(key, str):
            return EVERYTHING
        if key in known:
            return None
        name = HttpHeaders.parse_header_name(key)
        if name is not None:
            return f"header:{name.lower()}" if _HEADER.fullmatch(name) else EVERYTHING
        return f"meta:{key}" if isinstance(dict.get(meta, key), PLAIN) else EVERYTHING

    return one


def _read_for_url(request: HttpRequest) -> set[str]:
    """Return the keys of ``META`` that the host and the scheme are made of: settings say which, behind a proxy."""
    meta, read = request.META, set[str]()
    request.META = Watched(meta, read, str, EVERYTHING)
    try:
        _ = request.get_host(), request.scheme
    finally:
        request.META = meta
    return read


def _of_scope(key: Any) -> str | None:
    return None if key in IN_URL_OF_SCOPE else EVERYTHING
