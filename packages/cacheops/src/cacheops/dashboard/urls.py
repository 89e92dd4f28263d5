"""The dashboard in the project's admin site; it stands before ``path("admin/", admin.site.urls)``."""

from cacheops_django.dashboard.urls import app_name, urlpatterns

__all__ = ["app_name", "urlpatterns"]
