"""`manage.py invalidate` in projects that install the app as "cacheops": the Django package's own command."""

from cacheops_django.management.commands.invalidate import Command

__all__ = ["Command"]
