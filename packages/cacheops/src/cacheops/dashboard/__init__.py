"""A page for staff, in the look of Django's admin: ``path("admin/cacheops/", include("cacheops.dashboard.urls"))``."""
