"""Addresses of an admin site, of a second one, and of their dashboards."""

from django.contrib import admin
from django.urls import include, path

from cacheops_django.dashboard.views import Dashboard

other = admin.AdminSite("other")
other.site_header = "The other administration"

urlpatterns = [
    path("admin/cacheops/", include("cacheops_django.dashboard.urls")),
    path("admin/", admin.site.urls),
    path("other/cacheops/", include((Dashboard(other).urls, "cacheops"), namespace="other-cacheops")),
    path("other/", other.urls),
]
