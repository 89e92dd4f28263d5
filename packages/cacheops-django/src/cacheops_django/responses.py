"""Responses as plain data and back, and which of them may be kept for others."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.http.response import HttpResponseBase

KEPT = frozenset({200, 301, 404})
"""Statuses of answers that say the same to whoever asks next."""

REFUSED = frozenset({"max-age=0", "no-cache", "no-store", "private"})
"""Words of Cache-Control by which a view says that its answer is for one, or for once."""


class KeptResponse(HttpResponse):
    """A response that comes from the cache."""

    @property
    def url(self) -> str:
        """Where a redirect leads, as on Django's own."""
        return str(self.headers["Location"])


def refusal(response: HttpResponseBase) -> str | None:
    """Return why a response cannot be kept; None if it can."""
    if response.status_code not in KEPT:
        return f"its status is {response.status_code}"
    if response.streaming or not isinstance(response, HttpResponse):
        return "it is streamed"
    if response.cookies or response.has_header("Set-Cookie"):
        return "it sets a cookie"
    if said := words(response, "Cache-Control") & REFUSED:
        return f"its Cache-Control is {', '.join(sorted(said))}"
    return "it varies by everything" if "*" in words(response, "Vary") else None


def words(response: HttpResponseBase, header: str) -> set[str]:
    """Return the words of a header that is a list of them, in lower case."""
    return {word.strip() for word in response.headers.get(header, "").lower().split(",")} - {""}


def to_data(response: HttpResponse) -> list[Any]:
    """Return all that a client is sent, in types that every serializer knows."""
    # Latin-1 turns each byte into one character, for serializers of text.
    content = response.content.decode("latin-1")
    headers = [[str(name), str(value)] for name, value in response.headers.items()]
    return [response.status_code, response.reason_phrase, headers, content, response.charset]


def from_data(data: list[Any]) -> HttpResponse:
    """Return a new response that is sent as the one which was kept."""
    status, reason, headers, content, charset = data
    response = KeptResponse(content.encode("latin-1"), status=status, reason=reason, charset=charset)
    del response.headers["Content-Type"]
    for name, value in headers:
        response.headers[name] = value
    return response
