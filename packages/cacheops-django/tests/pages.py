"""A site whose pages are cached in every way, for the tests of views; each page says how often it was made."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib import messages
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponsePermanentRedirect,
    HttpResponseRedirect,
    JsonResponse,
    StreamingHttpResponse,
)
from django.middleware.csrf import get_token
from django.template import engines
from django.template.response import TemplateResponse
from django.urls import path
from django.utils import translation
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import cache_control, never_cache
from django.views.decorators.http import etag
from django.views.decorators.vary import vary_on_cookie, vary_on_headers
from django.views.generic import ListView
from testapp.models import Tag

from cacheops_django.views import CachedView, cached_view, cached_view_as

made: Counter[str] = Counter()


def page(name: str, *said: Any) -> HttpResponse:
    """Return a page that says how often it was made, and whatever else."""
    made[name] += 1
    return HttpResponse(" ".join(map(str, (name, made[name], *said))))


@cached_view_as(Tag)
def tags(request: HttpRequest) -> HttpResponse:
    return page("tags", *Tag.objects.nocache().values_list("name", flat=True))


@cached_view(timeout=60)
def plain(request: HttpRequest, number: int = 0) -> HttpResponse:
    return page("plain", number, *sorted(request.GET.items()))


@cached_view
def bare(request: HttpRequest) -> HttpResponse:
    return page("bare")


@cached_view(timeout=60)
def template(request: HttpRequest) -> HttpResponse:
    made["template"] += 1
    code = engines["django"].from_string("{{ made }} {{ text }}\n")
    return TemplateResponse(request, code, {"made": made["template"], "text": "<é>"})


@cached_view(timeout=60)
def detailed(request: HttpRequest) -> HttpResponse:
    made["detailed"] += 1
    response = HttpResponse(
        b"\x00\xff\xe9" + str(made["detailed"]).encode(), status=404, reason="Gone Fishing"
    )
    response["Content-Type"] = "image/x-nothing"
    response["X-Made"] = str(made["detailed"])
    return response


@cached_view(timeout=60)
def answering(request: HttpRequest, kind: str) -> Any:
    made[kind] += 1
    response: Any = {
        "moved": lambda: HttpResponsePermanentRedirect("/bare"),
        "found": lambda: HttpResponseRedirect("/bare"),
        "error": lambda: HttpResponse(status=500),
        "missing": lambda: HttpResponse(status=404),
        "json": lambda: JsonResponse({"made": made[kind]}),
        "streaming": lambda: StreamingHttpResponse([b"a", b"b"]),
        "cookie": HttpResponse,
        "header cookie": lambda: HttpResponse(headers={"Set-Cookie": "a=b"}),
        "everything": lambda: HttpResponse(headers={"Vary": "Accept, *"}),
        "nothing": lambda: None,
    }[kind]()
    if kind == "cookie":
        response.set_cookie("user", "somebody")
    return response


@cached_view(timeout=60)
@never_cache
def never(request: HttpRequest) -> HttpResponse:
    return page("never")


@cached_view(timeout=60)
@cache_control(private=True)
def private(request: HttpRequest) -> HttpResponse:
    return page("private")


@cached_view(timeout=60)
@vary_on_headers("Accept-Language", "X-Shop")
def translated(request: HttpRequest) -> HttpResponse:
    return page("translated", request.headers.get("Accept-Language"), request.headers.get("X-Shop"))


@cached_view(timeout=60)
def active_language(request: HttpRequest) -> HttpResponse:
    return page("language", translation.get_language())


@cached_view(timeout=60)
@vary_on_cookie
def by_cookie(request: HttpRequest) -> HttpResponse:
    return page("by_cookie")


@cached_view(timeout=60)
def themed(request: HttpRequest) -> HttpResponse:
    return page("themed", request.COOKIES.get("theme"))


READINGS: dict[str, Callable[[Any], Any]] = {
    "META": lambda request: request.META["HTTP_COOKIE"],
    "get": lambda request: request.META.get("HTTP_COOKIE"),
    "in": lambda request: "HTTP_COOKIE" in request.META and visible(request),
    "headers": lambda request: request.headers["cookie"],
    "headers get": lambda request: request.headers.get("Cookie", ""),
    "header items": lambda request: dict(request.headers)["Cookie"],
    "headers as text": lambda request: str(request.headers),
    "headers as JSON": lambda request: json.dumps({**request.headers}),
    "items": lambda request: [value for name, value in request.META.items() if name == "HTTP_COOKIE"],
    "values": lambda request: [value for value in request.META.values() if "who=" in str(value)],
    "dict": lambda request: dict(request.META)["HTTP_COOKIE"],
    "unpacked": lambda request: {**request.META}["HTTP_COOKIE"],
    "merged": lambda request: (request.META | {})["HTTP_COOKIE"],
    "copy": lambda request: request.META.copy()["HTTP_COOKIE"],
    "copied": lambda request: copy.copy(request.META)["HTTP_COOKIE"],
    "formatted": lambda request: "{HTTP_COOKIE}".format_map(request.META),
    "percent": lambda request: "%(HTTP_COOKIE)s" % request.META,  # noqa: UP031
    "pop": lambda request: request.META.pop("HTTP_COOKIE"),
    "copied request": lambda request: copy.copy(request).META["HTTP_COOKIE"],
    "environ": lambda request: request.environ["HTTP_COOKIE"],
    "scope": lambda request: [value for name, value in request.scope["headers"] if name == b"cookie"],
    "COOKIES": lambda request: request.COOKIES["who"],
    "signed": lambda request: request.get_signed_cookie("who", default=visible(request)),
    "other header": lambda request: request.headers.get("X-Who"),
    "other key": lambda request: request.META["HTTP_X_WHO"],
    "authorization": lambda request: request.META.get("HTTP_AUTHORIZATION"),
    "address": lambda request: request.META.get("REMOTE_ADDR"),
    "certificate": lambda request: request.META.get("SSL_CLIENT_S_DN"),
    "accepted": lambda request: [str(one) for one in request.accepted_types],
    "port": lambda request: request.META.get("HTTP_X_FORWARDED_PORT"),
}
"""Ways in which a view may find out who asks."""


def visible(request: HttpRequest) -> Any:
    """Return who asks, without being seen to look."""
    return dict.get(request.META, "HTTP_COOKIE")


@cached_view(timeout=60)
def reading(request: HttpRequest, how: str) -> HttpResponse:
    return page(how, READINGS[how](request))


@cached_view(timeout=60)
async def areading(request: HttpRequest, how: str) -> HttpResponse:
    return page(how, READINGS[how](request))


class Reading(View):
    def get(self, request: HttpRequest, how: str) -> HttpResponse:
        return page(how, READINGS[how](self.request))


@cached_view(timeout=60)
def outer(request: HttpRequest) -> HttpResponse:
    made["outer"] += 1
    return HttpResponse(f"outer {reading(request, 'other key').content.decode()}")


@cached_view(timeout=60)
@etag(lambda request: "one")
def tagged(request: HttpRequest) -> HttpResponse:
    return page("tagged")


@cached_view(timeout=60)
def addressed(request: HttpRequest) -> HttpResponse:
    return page("addressed", request.build_absolute_uri("/"), request.is_secure(), bool(request.GET))


@cached_view(timeout=60)
def writing(request: HttpRequest) -> HttpResponse:
    request.META["HTTP_X_WRITTEN"] = "yes"
    request.META.update(X_UPDATED="yes")
    request.META.pop("HTTP_X_WHO", None)
    return page("writing", request.headers.get("X-Who"))


@cached_view(timeout=60)
def searching(request: HttpRequest) -> HttpResponse:
    return page("searching", request.GET.get("q"), request.read() or "")


@cached_view(timeout=60)
def cart(request: HttpRequest) -> HttpResponse:
    return page("cart", request.session.get("cart"))


def fill_cart(request: HttpRequest, what: str) -> HttpResponse:
    request.session["cart"] = what
    return HttpResponse()


@cached_view(timeout=60)
def greeting(request: Any) -> HttpResponse:
    return page("greeting", request.user.username or "nobody")


@cached_view(timeout=60)
def form(request: HttpRequest) -> HttpResponse:
    return page("form", get_token(request))


@cached_view(timeout=60)
def shown_messages(request: HttpRequest) -> HttpResponse:
    return page("messages", *messages.get_messages(request))


def leave_message(request: HttpRequest) -> HttpResponse:
    messages.info(request, "saved")
    return HttpResponse()


@cached_view(timeout=60)
def leaves_message(request: HttpRequest) -> HttpResponse:
    messages.info(request, "hello")
    return page("leaves_message")


@cached_view(timeout=60)
@vary_on_headers("Authorization")
def api(request: HttpRequest) -> HttpResponse:
    return page("api", request.headers.get("Authorization"))


class Tags(ListView):  # type: ignore[type-arg]  # has no such argument when it runs
    queryset = Tag.objects.order_by("name")

    def render_to_response(self, context: Any, **kwargs: Any) -> HttpResponse:
        return page("Tags", *(tag.name for tag in context["object_list"]))


class Methods(View):
    greeting = "hello"

    @cached_view_as(Tag)
    def get(self, request: HttpRequest, number: int = 0) -> HttpResponse:
        return page("Methods", self.greeting, number)

    def post(self, request: HttpRequest, number: int = 0) -> HttpResponse:
        return HttpResponse("posted")


@method_decorator(cached_view(timeout=60), name="dispatch")
class Dispatched(View):
    greeting = "hello"

    def get(self, request: HttpRequest) -> HttpResponse:
        return page("Dispatched", self.greeting)


@cached_view_as(Tag)
async def atags(request: HttpRequest) -> HttpResponse:
    return page("atags", *[name async for name in Tag.objects.nocache().values_list("name", flat=True)])


@cached_view(timeout=60)
async def acart(request: HttpRequest) -> HttpResponse:
    return page("acart", await sync_to_async(request.session.get)("cart"))


class AsyncView(View):
    @cached_view(timeout=60)
    async def get(self, request: HttpRequest) -> HttpResponse:
        made["AsyncView"] += 1
        code = engines["django"].from_string("AsyncView {{ made }}")
        return TemplateResponse(request, code, {"made": made["AsyncView"]})


urlpatterns = [
    path("tags", tags),
    path("plain", plain),
    path("plain/<int:number>", plain),
    path("café", plain),
    path("bare", bare),
    path("template", template),
    path("detailed", detailed),
    path("answering/<kind>", answering),
    path("never", never),
    path("private", private),
    path("translated", translated),
    path("language", active_language),
    path("by_cookie", by_cookie),
    path("themed", themed),
    path("cart", cart),
    path("fill_cart/<what>", fill_cart),
    path("greeting", greeting),
    path("form", form),
    path("messages", shown_messages),
    path("leave_message", leave_message),
    path("leaves_message", leaves_message),
    path("api", api),
    path("reading/<how>", reading),
    path("areading/<how>", areading),
    path("Reading/<how>", cached_view(timeout=60)(Reading.as_view())),
    path("outer", outer),
    path("tagged", tagged),
    path("addressed", addressed),
    path("writing", writing),
    path("searching", searching),
    path("Tags", cached_view_as(Tag)(Tags.as_view())),
    path("Tags/two", cached_view_as(Tag)(Tags.as_view(paginate_by=2))),
    path("Methods", Methods.as_view()),
    path("Methods/bye", Methods.as_view(greeting="bye")),
    path("Methods/<int:number>", Methods.as_view()),
    path("Dispatched", Dispatched.as_view()),
    path("Dispatched/bye", Dispatched.as_view(greeting="bye")),
    path("atags", atags),
    path("acart", acart),
    path("AsyncView", AsyncView.as_view()),
]


def forget() -> None:
    """Forget what this process has learned of the pages, and how often they were made."""
    made.clear()
    for view in [*globals().values(), Methods.__dict__["get"], AsyncView.__dict__["get"]]:
        if isinstance(view, CachedView):
            view._shelf._known.clear()
            view._shelf.usual = frozenset()
