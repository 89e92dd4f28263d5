"""`manage.py cleanfilecache` in projects that install the app as "cacheops": the Django package's own command."""

from cacheops_django.management.commands.cleanfilecache import Command

__all__ = ["Command"]
