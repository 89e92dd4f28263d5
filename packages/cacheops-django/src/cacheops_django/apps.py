"""The app's entry in Django's registry: one label, whether installed as "cacheops_django" or as "cacheops"."""

from django.apps import AppConfig
from django.core.checks import register

__all__ = ["CacheopsConfig"]


class CacheopsConfig(AppConfig):
    """Starts the cache with the project."""

    name = "cacheops_django"
    label = "cacheops"
    verbose_name: str = "Cacheops"

    def ready(self) -> None:
        """Register the checks and put the cache under Django's querysets."""
        # Django imports this module before any model may be, and what follows needs models.
        from cacheops_django import checks, installation, keying

        register(checks.check_settings, checks.TAG)
        register(checks.check_models, checks.TAG)
        register(checks.check_environment, checks.TAG)
        installation.install()
        keying.register_visitors()
