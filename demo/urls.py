"""The addresses of the site."""

from airports import live, views
from django.contrib import admin
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView

urlpatterns = [
    # Before the admin, which takes every address that is left below its own.
    path("admin/cacheops/", include("cacheops.dashboard.urls")),
    path("admin/", admin.site.urls),
    path("live/", live.stream, name="live"),
    path("", views.world, name="world"),
    path("country/<slug:code>/", views.country, name="country"),
    path("airport/<slug:icao>/", views.airport, name="airport"),
    path("empty/", views.empty, name="empty"),
    path("favicon.ico", RedirectView.as_view(url=static("airports/icon.svg"))),
    path("__debug__/", include("debug_toolbar.urls")),
]
