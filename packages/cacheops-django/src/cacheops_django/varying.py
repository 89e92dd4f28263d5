"""What the answer of a view varies by besides the URL, learned by watching the view.

A view tells by ``Vary`` that it has looked at headers. What it does not tell is written on the way out, by
middleware that comes after everything that decorates the view: that it has looked at the session, that a form's
token wants a cookie. So while a view runs we watch what it looks at ourselves, and more closely: which cookies by
name, so that the cookies of an analytics script tell no pages apart; and the session by what is in it, so that a
cookie which was good for somebody who has logged out since is good for nothing.

Each thing that an answer varies by is a *dimension*: ``header:accept-language``, ``cookie:theme``, ``cookies``
(all of them) or ``session``. The language and the time zone that are active when the view is called always count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone, translation
from django.utils.cache import patch_vary_headers

from . import responses

MOST_COOKIES = 16
"""Cookies that are told apart by name; of more, all count."""

Dimensions = frozenset[str]


class WatchedCookies(dict[str, str]):
    """Cookies that note which of them are looked at."""

    def __init__(self, cookies: dict[str, str]) -> None:
        super().__init__(cookies)
        self.seen: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.seen.add(f"cookie:{name}")
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        self.seen.add(f"cookie:{name}")
        return super().__contains__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.seen.add(f"cookie:{name}")
        return super().get(name, default)

    def __iter__(self) -> Any:
        self.seen.add("cookies")
        return super().__iter__()

    def __len__(self) -> int:
        self.seen.add("cookies")
        return super().__len__()

    def keys(self) -> Any:
        self.seen.add("cookies")
        return super().keys()

    def values(self) -> Any:
        self.seen.add("cookies")
        return super().values()

    def items(self) -> Any:
        self.seen.add("cookies")
        return super().items()

    def copy(self) -> dict[str, str]:
        self.seen.add("cookies")
        return super().copy()


class Watch:
    """One run of a view: what it has looked at, and whether its answer is for everybody who would look the same."""

    def __init__(self, request: HttpRequest) -> None:
        self.request = request
        self.cookies: WatchedCookies = WatchedCookies(request.COOKIES)
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
        return responses.refusal(response)

    def learn(self, response: HttpResponseBase) -> Dimensions:
        """Return what the response varies by, and have it say so itself."""
        seen = {"cookies"} if len(self.cookies.seen) > MOST_COOKIES else set(self.cookies.seen)
        if getattr(getattr(self.request, "session", None), "accessed", False):
            seen.add("session")
        said = responses.words(response, "Vary")
        if seen:
            # When the answer is served again, nobody on its way out knows that the view has looked.
            patch_vary_headers(response, ["Cookie"])
        return frozenset(seen | {"cookies" if name == "cookie" else f"header:{name}" for name in said})


def is_personal(request: HttpRequest) -> bool:
    """Tell whether a request brings credentials, which its answer is then likely to depend on."""
    return bool(request.META.get("HTTP_AUTHORIZATION") or request.META.get("REMOTE_USER"))


def may_ask(request: HttpRequest, dimensions: Dimensions) -> bool:
    """Tell whether an answer that was kept may be the one to this request."""
    return not is_personal(request) or "header:authorization" in dimensions


def values(request: HttpRequest, dimensions: Dimensions) -> Sequence[Any]:
    """Return what tells this request from others in these dimensions."""
    found: list[Any] = [translation.get_language(), timezone.get_current_timezone_name()]
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
