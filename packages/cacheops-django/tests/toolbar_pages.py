"""Pages that ask the cache and write, beneath a debug toolbar."""

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from testapp.models import Tag

from cacheops_django.functions import cached_as


@cached_as(Tag)
def tag_names() -> list[str]:
    return [tag.name for tag in Tag.objects.nocache()]


def page(request: HttpRequest) -> HttpResponse:
    for _ in range(2):
        list(Tag.objects.filter(name="<b>"))
    Tag.objects.order_by("?").first()
    tag_names()
    Tag.objects.create(name="a")
    return HttpResponse("<html><body>page</body></html>")


async def awaited(request: HttpRequest) -> HttpResponse:
    await sync_to_async(Tag.objects.count)()
    await Tag.objects.acount()
    return HttpResponse("<html><body>page</body></html>")


urlpatterns = [
    path("", page),
    path("awaited/", awaited),
    path("__debug__/", include("debug_toolbar.urls")),
]
