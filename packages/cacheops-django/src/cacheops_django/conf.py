"""Reads the settings: nothing else in the package looks at `django.conf`.

The first to ask has a snapshot built, with every value checked and of one type; everybody after that gets the
same one, until a test overrides a setting. What was made from an older snapshot can tell by `is`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings as django_settings
from django.core.signals import setting_changed
from django.db.models import Model

from cacheops_core.errors import ConfigurationError
from cacheops_core.profiles import Profile
from cacheops_django import clients, connections, values
from cacheops_django.connections import Connection
from cacheops_django.model_profiles import keys_for, read_profiles
from cacheops_django.problems import Problem, Problems, SettingsError

__all__ = ["KNOWN", "Settings", "current", "defined", "examine", "make_client", "reset", "written"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Settings:
    """The settings of the project as the package works with them."""

    enabled: bool
    """Whether results are read from the cache and stored in it. Writes invalidate all the same, as far as there is a
    server, so that nothing is stale when it is turned on again."""

    degrade_on_failure: bool
    """Whether the site goes on from the database while the server is away, instead of failing."""

    fence_lifetime: float
    """Seconds after which a transaction that has not ended its COMMIT counts as dead."""

    connection: Connection
    """Where the server is."""

    profiles: Mapping[str, Profile | None]
    """What may be cached, by "app.model", "app.*" or "*.*" in lower case; `profile_for` looks it up."""

    prefix: values.Prefix
    """What every key begins with, or what computes it from a query."""

    serializer: Any
    """"pickle", "json", "msgpack" or an object with `dumps` and `loads`."""

    compression: str | None
    """How long payloads are compressed; None is not at all."""

    compress_above: int
    """Bytes from which on a payload is long."""

    signing_key: tuple[bytes, ...] | None = field(repr=False)
    """What payloads are signed with, the key for new ones first; None is not at all."""

    skip_fields: frozenset[str]
    """Types of fields that never narrow what a query depends on."""

    long_disjunction: int
    """The number of values in an `__in` above which a query depends on all values of that field."""

    file_cache_dir: Path | None
    """Where the file cache keeps its files; None is its own choice."""

    file_cache_timeout: float | None
    """Seconds that a file lives when its user does not say."""

    replicas: Mapping[str, str]
    """The alias of its primary for each database that is a copy of another one."""

    replica_lag: float
    """Seconds by which a replica may be behind: what was read there is not stored under younger stamps."""

    near_size: int
    """Copies that a process keeps of results, at most."""

    near_bytes: int
    """Bytes of their payloads, at most."""

    near_max_age: float
    """Seconds for which a copy is served without asking the server."""

    counters_every: float | None
    """Seconds after which a process adds what it has counted to what all have; None keeps it to itself."""

    _found: dict[type[Model], Profile | None] = field(default_factory=dict, init=False, repr=False)

    def profile_for(self, model: type[Model]) -> Profile | None:
        """Return what may be cached for the model; None is nothing, not even when a queryset asks.

        The keys are tried in the order of `keys_for`. Models of another registry than the project's, such as
        those that migrations make up, have no profile: their tables are not what the project's models say.
        """
        try:
            return self._found[model]
        except KeyError:
            return self._look_up(model)

    def primary_of(self, alias: str) -> str:
        """Return the database that `alias` is a copy of, which is itself unless it is declared a replica."""
        return self.replicas.get(alias, alias)

    def _look_up(self, model: type[Model]) -> Profile | None:
        if model._meta.apps is not apps:
            # Not remembered either: a run of migrations makes thousands of these and drops them.
            return None
        key = next((key for key in keys_for(model) if key in self.profiles), None)
        profile = self._found[model] = None if key is None else self.profiles[key]
        return profile


_current: Settings | None = None


def current() -> Settings:
    """Return the snapshot of the settings; raise `SettingsError` with all that is wrong with them."""
    return _current or _build()


def reset() -> None:
    """Have the settings read again by the next one who asks, should they change behind Django's back."""
    global _current
    _current = None


def make_client() -> Any:
    """Return a new client for the server that the settings name."""
    connection = current().connection
    try:
        return clients.make_client(connection)
    except ConfigurationError as error:
        raise SettingsError(
            [Problem("E004", str(error), "Run manage.py check to see what it takes.")]
        ) from error


def _build() -> Settings:
    global _current
    setting_changed.connect(_forget, dispatch_uid="cacheops.conf")
    snapshot, problems = examine()
    if snapshot is None:
        raise SettingsError(problem for problem in problems if problem.is_error)
    _current = snapshot
    return snapshot


def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting in KNOWN or setting == "DATABASES":
        reset()


def examine() -> tuple[Settings | None, Problems]:
    """Return a new snapshot of the settings, or None if they have errors, and all that is wrong with them."""
    problems = Problems()
    read: dict[str, Any] = {
        row.field: problems.attempt(
            row.id, row.hint, row.read, written(row.setting, row.default), row.setting
        )
        for row in _PLAIN
    }
    read["connection"] = _read_connection(problems)
    read["profiles"] = read_profiles(written("CACHEOPS", {}), written("CACHEOPS_DEFAULTS", {}), problems)
    for setting, why in _NEEDLESS.items():
        if written(setting):
            problems.add("W040", f"{setting} does nothing", f"Remove it: {why}.")
    has_errors = any(problem.is_error for problem in problems)
    return None if has_errors else Settings(**read), problems


def defined() -> list[str]:
    """Return the names of all settings of the project, ours or not."""
    return [name for name in dir(django_settings) if name.isupper()]


def written(setting: str, default: object = None) -> Any:
    """Return a setting as it is written, right or wrong."""
    return getattr(django_settings, setting, default)


def _read_connection(problems: Problems) -> Connection | None:
    """Return where the server is, from the one of three settings that says so."""
    given = [setting for setting in _CONNECTIONS if written(setting)]
    if len(given) != 1:
        if given:
            message = f"{' and '.join(given)} are all set, and each names a server"
            problems.add("E002", message, "Keep the one that is meant.")
        else:
            problems.add("E001", "CACHEOPS_REDIS is not set, so there is no server to cache in", _SERVER_HINT)
        return None
    read, hint = _CONNECTIONS[given[0]]
    connection = problems.attempt("E003", hint, read, written(given[0]), given[0])
    cls = problems.attempt(
        "E004",
        _CLASS_HINT,
        connections.read_client_class,
        written("CACHEOPS_CLIENT_CLASS"),
        "CACHEOPS_CLIENT_CLASS",
    )
    return connection and replace(connection, client_class=cls)


def _read_replicas(value: object, name: str) -> dict[str, str]:
    return values.read_replicas(value, name, django_settings.DATABASES)


@dataclass(frozen=True, slots=True)
class _Plain:
    """A setting that is one value and becomes one field."""

    field: str
    setting: str
    default: object
    read: Callable[[Any, str], Any]
    id: str
    hint: str


_SKIPPED = ("FileField", "TextField", "BinaryField", "JSONField")
_BOTH = "Write True or False; the text of an environment variable has to be compared first."
_PLAIN = (
    _Plain("enabled", "CACHEOPS_ENABLED", True, values.read_flag, "E020", _BOTH),
    _Plain("degrade_on_failure", "CACHEOPS_DEGRADE_ON_FAILURE", False, values.read_flag, "E020", _BOTH),
    _Plain(
        "fence_lifetime", "CACHEOPS_FENCE_LIFETIME", 30, values.read_seconds, "E039",
        "Write the seconds, or the timedelta, that no COMMIT takes, such as 30.",
    ),
    _Plain(
        "prefix", "CACHEOPS_PREFIX", "cacheops:", values.read_prefix, "E021",
        'Write a string such as "shop:", a callable that takes a query, or the dotted path of one.',
    ),
    _Plain(
        "serializer", "CACHEOPS_SERIALIZER", "pickle", values.read_serializer, "E022",
        'Write "pickle", "json", "msgpack", an object with dumps and loads, or the dotted path of one.',
    ),
    _Plain(
        "compression", "CACHEOPS_COMPRESSION", None, values.read_compression, "E032",
        'Write "zstd" or "lz4", each of which needs a package, or None.',
    ),
    _Plain(
        "compress_above", "CACHEOPS_COMPRESS_ABOVE", 1024, values.read_count, "E033",
        "Write the bytes from which on results are compressed, such as 1024.",
    ),
    _Plain(
        "signing_key", "CACHEOPS_SIGNING_KEY", None, values.read_signing_key, "E034",
        "Write a long random text, a list of them with the one that signs first, or None.",
    ),
    _Plain(
        "skip_fields", "CACHEOPS_SKIP_FIELDS", _SKIPPED, values.read_names, "E023",
        'Write the names of field classes in a list, such as ["TextField", "JSONField"].',
    ),
    _Plain(
        "long_disjunction", "CACHEOPS_LONG_DISJUNCTION", 8, values.read_count, "E024",
        "Write how many values of an __in are still told apart, such as 8.",
    ),
    _Plain(
        "file_cache_dir", "FILE_CACHE_DIR", None, values.read_directory, "E025",
        "Write the path of a directory, or None for one in your user's cache folder.",
    ),
    _Plain(
        "file_cache_timeout", "FILE_CACHE_TIMEOUT", 30 * 86400, values.read_timeout, "E026",
        "Write seconds, a timedelta, or None for no expiry.",
    ),
    _Plain(
        "replicas", "CACHEOPS_REPLICAS", {}, _read_replicas, "E027",
        'Write the aliases of replicas with those of their primaries: {"replica": "default"}.',
    ),
    _Plain(
        "replica_lag", "CACHEOPS_REPLICA_LAG", 10, values.read_lag, "E028",
        "Write the seconds, or the timedelta, by which a replica may be behind.",
    ),
    _Plain(
        "near_size", "CACHEOPS_NEAR_SIZE", 10_000, values.read_count, "E036",
        "Write how many results a process may keep in its own memory, such as 10_000.",
    ),
    _Plain(
        "near_bytes", "CACHEOPS_NEAR_BYTES", 64 * 2**20, values.read_count, "E037",
        "Write how many bytes these may have, such as 64 * 2**20.",
    ),
    _Plain(
        "near_max_age", "CACHEOPS_NEAR_MAX_AGE", 1, values.read_seconds, "E038",
        "Write the seconds, or the timedelta, after which the server is asked whatever it has told.",
    ),
    _Plain(
        "counters_every", "CACHEOPS_COUNTERS_EVERY", 5, values.read_timeout, "E035",
        "Write the seconds between two times that a process shares its counts, or None for never.",
    ),
)  # fmt: skip

_SERVER_HINT = (
    'Write CACHEOPS_REDIS = "redis://localhost:6379/1", or "embedded://" to have one started for you.'
)
_CLASS_HINT = 'Write a class or its dotted path, such as "valkey.Valkey".'
_CONNECTIONS = {
    "CACHEOPS_REDIS": (
        connections.read_redis,
        'Write a URL such as "redis://localhost:6379/1" or the arguments of a client: {"host": "localhost"}.',
    ),
    "CACHEOPS_SENTINEL": (
        connections.read_sentinel,
        'Write {"locations": [("localhost", 26379)], "service_name": "primary"}.',
    ),
    "CACHEOPS_CLUSTER": (
        connections.read_cluster,
        'Write a URL of one node, or {"startup_nodes": [("localhost", 7000)]}.',
    ),
}
_NEEDLESS = {
    "CACHEOPS_LRU": "an entry is checked against its stamps, so the server may evict whatever it likes",
    "CACHEOPS_INSIDEOUT": "every entry is checked against its stamps, which is what it was for",
}

KNOWN = frozenset(
    {"CACHEOPS", "CACHEOPS_DEFAULTS", "CACHEOPS_CLIENT_CLASS", *_CONNECTIONS, *_NEEDLESS}
    | {row.setting for row in _PLAIN}
)
"""The names of all settings."""


def uses_time_zones() -> bool:
    """Tell whether dates are aware of their time zones, which decides on what a naive one means."""
    return bool(django_settings.USE_TZ)
