"""Settings and profiles as they hold, under the name by which users of django-cacheops look at them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from django.db.models import Model

from cacheops_django import conf
from cacheops_filecache.directories import default_directory

__all__ = ["model_profile", "settings"]

DEFAULTS: Mapping[str, Any] = {
    "CACHEOPS": {},
    "CACHEOPS_DEFAULTS": {},
    "CACHEOPS_CLIENT_CLASS": None,
    "CACHEOPS_REDIS": {},
    "CACHEOPS_SENTINEL": {},
    "CACHEOPS_CLUSTER": {},
    "CACHEOPS_LRU": False,
    "CACHEOPS_INSIDEOUT": False,
    **{row.setting: row.default for row in conf._PLAIN},
}
"""What stands for settings that a project has not written."""

MISSING: Any = object()


class Settings:
    """Django's settings as they are written at the moment, and the cache's defaults for those that are not."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        value = conf.written(name, DEFAULTS.get(name, MISSING))
        if value is MISSING:
            raise AttributeError(f"there is no setting {name}")
        return default_directory() if name == "FILE_CACHE_DIR" and value is None else value

    def __setattr__(self, name: str, value: object) -> None:
        # Whoever sets one here would wonder why nothing changes.
        raise AttributeError(
            f"{name} is only read here: set it in the settings module, or by django.test.override_settings"
        )


settings: Settings = Settings()
"""The settings of the project."""


def model_profile(model: type[Model]) -> dict[str, Any] | None:
    """Return what may be cached of a model by the names of the options, ``ops`` as a set; None if nothing may be."""
    profile = conf.current().profile_for(model)
    if profile is None:
        return None
    options = asdict(profile)
    del options["name"]
    return options | {"ops": set(profile.ops)}
