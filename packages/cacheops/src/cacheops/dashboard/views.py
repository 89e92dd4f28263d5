"""The dashboard for an admin site of one's own: ``include((Dashboard(site).urls, "cacheops"))``."""

from cacheops_django.dashboard.views import Dashboard

__all__ = ["Dashboard"]
