"""Which profile a model has: CACHEOPS and CACHEOPS_DEFAULTS, read key by key, and the order of looking up."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from django.db.models import Model

from cacheops_core.errors import ConfigurationError
from cacheops_core.profiles import OPS, PROFILE_KEYS, Profile, parse_option
from cacheops_django.problems import Problems, nearest, shown

__all__ = ["keys_for", "read_profiles"]

_KEY = re.compile(r"[^.*\s]+\.([^.*\s]+|\*)|\*\.\*")

_DEFAULTS_HINT = 'Write a profile for all models, such as {"timeout": 3600}.'
_PROFILES_HINT = 'Write a dictionary of profiles, such as {"blog.post": {"ops": "get", "timeout": 900}}.'
_PROFILE_HINT = 'Write a dictionary such as {"ops": "get", "timeout": 900}, or None to forbid caching.'
_KEY_HINT = 'Write "app_label.model", "app_label.*" or "*.*".'
_TIMEOUT_HINT = "Add one, or set it for all models in CACHEOPS_DEFAULTS; None means no expiry by time."

_VALUE_PROBLEMS = {
    "ops": ("E016", f'Write "all", or any of "{" ".join(OPS)}" as one string or as a collection.'),
    "timeout": ("E017", "Write seconds, a timedelta, or None for no expiry by time."),
}
_VALUE_PROBLEM = ("E018", "Correct the value, or leave the key out for its default.")


def keys_for(model: type[Model]) -> Iterator[str]:
    """Yield the keys under which a model's profile may stand, the most exact one first.

    A proxy shares its model's table, so where it has no key of its own, its model's key holds for it too:
    what `"auth.user": None` forbids is not allowed again by a proxy in an app that has `"shop.*"`.
    """
    labels = [model._meta.label.lower()]
    concrete = model._meta.concrete_model
    if concrete is not None and concrete is not model:
        labels.append(concrete._meta.label.lower())
    yield from labels
    for label in labels:
        yield f"{label.partition('.')[0]}.*"
    yield "*.*"


def read_profiles(written: object, defaults: object, problems: Problems) -> dict[str, Profile | None]:
    """Return the profiles by their keys in lower case, defaults merged into each; None forbids caching."""
    shared: dict[str, Any] = {}
    if isinstance(defaults, Mapping):
        shared = _read_options("CACHEOPS_DEFAULTS", defaults, problems)
        if "timeout" in defaults:
            # Where it is wrong that has been told, and the profiles that count on it are not to blame.
            shared.setdefault("timeout", None)
    else:
        problems.add("E010", f"CACHEOPS_DEFAULTS is {shown(defaults)}, not a dictionary", _DEFAULTS_HINT)
    if not isinstance(written, Mapping):
        problems.add("E010", f"CACHEOPS is {shown(written)}, not a dictionary", _PROFILES_HINT)
        return {}
    profiles: dict[str, Profile | None] = {}
    for key, spelling in _unique_keys(written, problems).items():
        profiles[key] = _read_profile(f'CACHEOPS["{spelling}"]', written[spelling], shared, problems)
    return profiles


def _unique_keys(written: Mapping[Any, object], problems: Problems) -> dict[str, str]:
    """Return each key in lower case with its spelling, leaving out what is no key or comes a second time."""
    spellings: dict[str, str] = {}
    for spelling in written:
        if not isinstance(spelling, str) or not _KEY.fullmatch(spelling):
            problems.add("E011", f"CACHEOPS has the key {shown(spelling)}, which names no model", _KEY_HINT)
            continue
        first = spellings.setdefault(spelling.lower(), spelling)
        if first != spelling:
            message = f'CACHEOPS has the keys "{first}" and "{spelling}", which name one model'
            problems.add("E012", message, "Keep one of them: case does not matter here.")
    return spellings


def _read_profile(place: str, options: object, shared: dict[str, Any], problems: Problems) -> Profile | None:
    """Return one profile; None where caching is forbidden, or where a mistake leaves nothing to go by."""
    if options is None:
        return None
    if not isinstance(options, Mapping):
        problems.add("E013", f"{place} is {shown(options)}, not a dictionary", _PROFILE_HINT)
        return None
    values = shared | _read_options(place, options, problems)
    if "timeout" in values:
        return Profile(name=place, **values)
    # A timeout that is there and wrong has been told already.
    if "timeout" not in options:
        problems.add("E015", f'{place} has no "timeout"', _TIMEOUT_HINT)
    return None


def _read_options(place: str, options: Mapping[Any, object], problems: Problems) -> dict[str, Any]:
    """Return the options of one profile that are right, and note those that are not."""
    values: dict[str, Any] = {}
    for key, value in options.items():
        if key not in PROFILE_KEYS:
            hint = f"{nearest(key, PROFILE_KEYS)}A profile has the keys {', '.join(PROFILE_KEYS)}."
            problems.add("E014", f"{place} has the unknown key {shown(key)}", hint)
            continue
        try:
            values[key] = parse_option(key, value, place)
        except ConfigurationError as error:
            id, hint = _VALUE_PROBLEMS.get(key, _VALUE_PROBLEM)
            problems.add(id, str(error), hint)
    return values
