"""Lets each page show what it has asked of the cache."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from .watching import watched


def watch_request(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Give the request the list of its looks; the panel reads it when the page is rendered."""

    def respond(request: HttpRequest) -> HttpResponse:
        with watched() as request.looks:
            return get_response(request)

    return respond
