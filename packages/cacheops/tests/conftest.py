"""Set up a project that installs the facade as users of django-cacheops do."""

from __future__ import annotations

from django.conf import settings


def pytest_configure() -> None:
    """Configure Django before pytest-django looks whether that has been done."""
    settings.configure(
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "cacheops"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        CACHEOPS_REDIS="redis://localhost/1",
        CACHEOPS={"auth.*": {"ops": "all", "timeout": 60}},
    )
