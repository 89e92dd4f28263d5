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
            response = get_response(request)
        # The dashboard and the toolbar need no more than this.
        response.headers["Content-Security-Policy"] = "default-src 'self'; img-src 'self' data:"
        return response

    return respond


def has_toolbar(request: HttpRequest) -> bool:
    """Show the toolbar on the site's own pages: on this machine only, which nobody else can reach anyway."""
    is_own = not request.path.startswith(("/admin/", "/live/"))
    return is_own and request.META["REMOTE_ADDR"] == "127.0.0.1"
