"""`manage.py reapconjs` in projects that install the app as "cacheops": the Django package's own command."""

from cacheops_django.management.commands.reapconjs import Command

__all__ = ["Command"]
