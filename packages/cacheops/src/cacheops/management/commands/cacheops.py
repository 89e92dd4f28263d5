"""`manage.py cacheops` in projects that install the app as "cacheops": the Django package's own command."""

from cacheops_django.management.commands.cacheops import Command

__all__ = ["Command"]
