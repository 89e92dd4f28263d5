"""What the answer of a view varies by besides the URL, learned by watching the view.

A view tells by ``Vary`` that it has looked at headers, if its author has thought of that. What it cannot tell is
written on the way out, by middleware that comes after everything that decorates the view: that it has looked at the
session, that a form's token wants a cookie. So while a view runs we watch what it looks at ourselves (`watched`), and
more closely: which headers and cookies by name, so that the cookies of an analytics script tell no pages apart; and
the session by what is in it, so that a cookie which was good for somebody who has logged out since is good for nothing.

Each thing that an answer varies by is a *dimension*: ``header:accept-language``, ``cookie:theme``, ``cookies``
(all of them), ``meta:REMOTE_ADDR`` (what the server says of the visitor) or ``session``. The language and the time
zone that are active when the view is called always count, and who asks, where somebody has found that out before.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone, translation
from django.utils.cache import patch_vary_headers
from django.utils.functional import LazyObject, empty

from . import responses
from .watched import EVERYTHING, PLAIN, unwatched, watching

MOST_COOKIES = 16
"""Cookies that are told apart by name; of more, all count."""

MOST_HEADERS = 32
"""Headers that an answer may vary by; of more, it is not kept."""

Dimensions = frozenset[str]


class Watch:
    """One run of a view: what it has looked at, and whether its answer is for everybody who would look the same."""

    def __init__(self, request: HttpRequest) -> None:
        self.request = request
        self.seen: set[str] = set()
        """The dimensions of what has been looked at."""
        self._visitor = visitor(request)
        self._has_read_messages = hasattr(getattr(request, "_messages", None), "_loaded_data")

    def watching(self) -> AbstractContextManager[None]:
        """Watch the request for as long as this lasts."""
        return watching(self.request, self.seen)

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
        says_so = "authorization" in responses.words(response, "Vary") or "header:authorization" in self.seen
        if is_personal(request) and not says_so:
            return "it answers a request with credentials and does not vary by them"
        if visitor(request) != self._visitor and not self._cookies() and not _has_asked_session(request):
            return "it has found out who asks, and neither by the session nor by cookies"
        if EVERYTHING in self.seen or len(self.seen - self._cookies()) > MOST_HEADERS:
            return "it has looked at too much of the request"
        return responses.refusal(response)

    def learn(self, response: HttpResponseBase) -> Dimensions:
        """Return what the response varies by, and have it say so itself."""
        said = responses.words(response, "Vary")
        cookies = self._cookies()
        seen = self.seen - cookies
        if len(cookies) > MOST_COOKIES:
            cookies = {"cookies"}
        if _has_asked_session(self.request):
            cookies.add("session")
        # What a request makes a condition of is no kind of answer: HTTP has its own rules for that.
        names = {one.removeprefix("header:") for one in seen if one.startswith("header:")}
        headers = sorted(name.title() for name in names if not name.startswith("if-"))
        if told := [*headers, *(["Cookie"] if cookies else [])]:
            # When the answer is served again, nobody on its way out knows that the view has looked.
            patch_vary_headers(response, told)
        return frozenset(
            seen | cookies | {"cookies" if name == "cookie" else f"header:{name}" for name in said}
        )

    def _cookies(self) -> set[str]:
        """Return which dimensions of what has been looked at are about cookies."""
        return {one for one in self.seen if one.startswith("cookie") or one == "header:cookie"}


def is_personal(request: HttpRequest) -> bool:
    """Tell whether a request brings credentials, which its answer is then likely to depend on."""
    return bool(unwatched(request, "HTTP_AUTHORIZATION") or unwatched(request, "REMOTE_USER"))


def has_body(request: HttpRequest) -> bool:
    """Tell whether a request brings more than its URL and headers, of which nobody would see that it is read."""
    length = unwatched(request, "CONTENT_LENGTH")
    return str(length or "0") != "0" or unwatched(request, "HTTP_TRANSFER_ENCODING") is not None


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
    # By its type a request says in which encoding its query is to be read. Who the server has let in need not have
    # sent a header: a certificate will do.
    found += [request.encoding, unwatched(request, "CONTENT_TYPE") or "", unwatched(request, "REMOTE_USER")]
    for dimension in sorted(dimensions):
        found += [dimension, _value(request, dimension)]
    return found


def _value(request: HttpRequest, dimension: str) -> Any:
    kind, _, name = dimension.partition(":")
    if kind == "header":
        return request.headers.get(name)
    if kind == "meta":
        value = request.META.get(name)
        return value if isinstance(value, PLAIN) else repr(value)
    if kind == "cookie":
        return request.COOKIES.get(name)
    if kind == "cookies":
        return dict(request.COOKIES)
    session = getattr(request, "session", None)
    if session is None:
        return None
    content = dict(session.items())
    return session.session_key, session.serializer().dumps(content)
