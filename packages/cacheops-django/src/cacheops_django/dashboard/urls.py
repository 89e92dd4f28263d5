"""The dashboard in the project's admin site: ``path("admin/cacheops/", include("cacheops.dashboard.urls"))``.

It stands before ``path("admin/", admin.site.urls)``, which takes every address that is left.
"""

from django.contrib import admin
from django.urls import URLPattern

from .views import Dashboard

__all__ = ["app_name", "urlpatterns"]

app_name: str = "cacheops"
urlpatterns: list[URLPattern] = Dashboard(admin.site).urls
