"""What the answer of a view varies by besides the URL, learned by watching the view.

A view tells by ``Vary`` that it has looked at headers. What it does not tell is written on the way out, by
middleware that comes after everything that decorates the view: that it has looked at the session, that a form's
token wants a cookie. So while a view runs we watch what it looks at ourselves, and more closely: which cookies by
name, so that the cookies of an analytics script tell no pages apart; and the session by what is in it, so that a
cookie which was good for somebody who has logged out since is good for nothing.

Each thing that an answer varies by is a *dimension*: ``header:accept-language``, ``cookie:theme``, ``cookies``
(all of them) or ``session``. The language and the time zone that are active when the view is called always count,
and who asks, where somebody has found that out before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone, translation
from django.utils.cache import patch_vary_headers
from django.utils.functional import LazyObject, empty

from . import responses

MOST_COOKIES = 16
"""Cookies that are told apart by name; of more, all count."""

Dimensions = frozenset[str]


class WatchedCookies(dict[str, str]):
    """Cookies that note which of them are looked at."""

    def __init__(self, cookies: dict[str, str]) -> None:
        super().__init__(cookies)
        self.seen: set[str] = set()


def _looking_at_one(name: str) -> Any:
    method = getattr(dict, name)

    def look(self: WatchedCookies, cookie: Any, *args: Any) -> Any:
        self.seen.add(f"cookie:{cookie}")
        return method(self, cookie, *args)

    return look


def _looking_at_all(name: str) -> Any:
    method = getattr(dict, name)

    def look(self: WatchedCookies, *args: Any) -> Any:
        self.seen.add("cookies")
        return method(self, *args)

    return look


for _name in ("__getitem__", "__contains__", "get", "pop", "setdefault"):
    setattr(WatchedCookies, _name, _looking_at_one(_name))
for _name in (
    *("__iter__", "__reversed__", "__len__", "__repr__", "__eq__", "__ne__", "__or__", "__ror__"),
    *("keys", "values", "items", "copy", "popitem"),
):
    setattr(WatchedCookies, _name, _looking_at_all(_name))


class Watch:
    """One run of a view: what it has looked at, and whether its answer is for everybody who would look the same."""

    def __init__(self, request: HttpRequest) -> None:
        self.request = request
        self.cookies: WatchedCookies = WatchedCookies(request.COOKIES)
        self._visitor = visitor(request)
        self._has_read_messages = hasattr(getattr(request, "_messages", None), "_loaded_data")

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the cookies of the request for as long as this lasts."""
        unwatched, self.request.COOKIES = self.request.COOKIES, self.cookies
        try:
            yield
        finally:
            self.request.COOKIES = unwatched

    def refusal(self, response: HttpResponseBase) -> str | None:
        """Return why this answer is for this request alone, or cannot be kept for another reason."""
        request, session = self.request, getattr(self.request, "session", None)
        messages = getattr(request, "_messages", None)
        if request.META.get("CSRF_COOKIE_NEEDS_UPDATE"):
            return "it holds a token against forged requests"
        if getattr(session, "modified", False):
            return "the session has changed"
        if messages is not None and (
            self._has_read_messages or messages.added_new or (messages.used and len(messages))
        ):
            return "it shows messages, or leaves some for the next page"
        if bool(getattr(request, "_csp_nonce", None)):
            return "it holds a nonce of its Content-Security-Policy"
        if is_personal(request) and "authorization" not in responses.words(response, "Vary"):
            return "it answers a request with credentials and does not vary by them"
        if visitor(request) != self._visitor and not self.cookies.seen and not _has_asked_session(request):
            return "it has found out who asks, and neither by the session nor by cookies"
        return responses.refusal(response)

    def learn(self, response: HttpResponseBase) -> Dimensions:
        """Return what the response varies by, and have it say so itself."""
        seen = {"cookies"} if len(self.cookies.seen) > MOST_COOKIES else set(self.cookies.seen)
        if _has_asked_session(self.request):
            seen.add("session")
        said = responses.words(response, "Vary")
        if seen:
            # When the answer is served again, nobody on its way out knows that the view has looked.
            patch_vary_headers(response, ["Cookie"])
        return frozenset(seen | {"cookies" if name == "cookie" else f"header:{name}" for name in said})


def is_personal(request: HttpRequest) -> bool:
    """Tell whether a request brings credentials, which its answer is then likely to depend on."""
    return bool(request.META.get("HTTP_AUTHORIZATION") or request.META.get("REMOTE_USER"))


def visitor(request: HttpRequest) -> tuple[str, str] | None:
    """Return who asks, where that has been found out by now; None also for those who have not logged in.

    Middleware of a project's own may do so before the view can look, by a token in a cookie or a header of its own.
    """
    user: Any = getattr(request, "user", None)
    if isinstance(user, LazyObject) and user._wrapped is empty:
        return None
    if not getattr(user, "is_authenticated", False):
        return None
    return type(user).__qualname__, str(getattr(user, "pk", user))


def _has_asked_session(request: HttpRequest) -> bool:
    return bool(getattr(getattr(request, "session", None), "accessed", False))


def may_ask(request: HttpRequest, dimensions: Dimensions) -> bool:
    """Tell whether an answer that was kept may be the one to this request."""
    return not is_personal(request) or "header:authorization" in dimensions


def values(request: HttpRequest, dimensions: Dimensions) -> Sequence[Any]:
    """Return what tells this request from others in these dimensions."""
    # Before the session is asked, by which the visitor may become known.
    found: list[Any] = [visitor(request), translation.get_language(), timezone.get_current_timezone_name()]
    for dimension in sorted(dimensions):
        found += [dimension, _value(request, dimension)]
    return found


def _value(request: HttpRequest, dimension: str) -> Any:
    kind, _, name = dimension.partition(":")
    if kind == "header":
        return request.headers.get(name)
    if kind == "cookie":
        return request.COOKIES.get(name)
    if kind == "cookies":
        return dict(request.COOKIES)
    session = getattr(request, "session", None)
    if session is None:
        return None
    content = dict(session.items())
    return session.session_key, session.serializer().dumps(content)
