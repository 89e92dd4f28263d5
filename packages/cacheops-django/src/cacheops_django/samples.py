"""Samples: querysets, models and objects that stand for the rows on which a result depends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, cast

from django.db import DEFAULT_DB_ALIAS, connections, router
from django.db.models import Manager, Model, QuerySet

from cacheops_core.cache import Cache
from cacheops_core.conditions import ANY_ROW, Conjunction, Dependencies
from cacheops_core.errors import ConfigurationError
from cacheops_core.keys import stable_key
from cacheops_core.options import seconds

from . import caches, conf, rows, tables
from .fingerprints import Unfingerprintable
from .plans import depends
from .problems import NoProfile
from .reads import NOT_GIVEN, wish_of
from .reasons import Reason, Uncacheable

__all__ = ["Sample", "Samples"]

Sample: TypeAlias = "QuerySet[Any] | Manager[Any] | type[Model] | Model"
"""What a result depends on: the rows of a queryset, any row of a model, or one object."""


NOTHING = Dependencies()

OF_NOTHING = stable_key(())
"""Stands for no samples."""


class Samples:
    """The samples of one function's results: what these depend on, for how long they are kept, and in which cache."""

    def __init__(self, samples: tuple[Sample, ...], timeout: Any) -> None:
        self.samples: tuple[Any, ...] = tuple(checked(one) for one in samples if not isinstance(one, list))
        self._is_followed: bool = len(self.samples) == len(samples)
        """Whether it is known what results depend on: of a list, as empty pages have one, it is not."""
        self.known: tuple[Any, Dependencies | Reason, bytes] | None = None
        """The state in which it was found out, what results depend on or why that is not known, and a digest."""
        self._timeout = seconds(timeout, "timeout")

    def __cache_key__(self) -> bytes:
        return self.know()[2]

    def timeout(self) -> float | None:
        """Return the seconds for which a result is kept: unless given, the least of what its samples say."""
        if self._timeout is not None or not self.samples:
            return self._timeout
        said = [self._timeout_of(sample) for sample in self.samples]
        return min((timeout for timeout in said if timeout is not None), default=None)

    def _timeout_of(self, sample: Any) -> float | None:
        wished = wish_of(sample).timeout if isinstance(sample, QuerySet) else NOT_GIVEN
        if wished is not NOT_GIVEN:
            return cast("float | None", wished)
        model = model_of(sample)
        profile = conf.current().profile_for(model)
        if profile is None:
            raise NoProfile(
                f"{model._meta.label} has no profile in CACHEOPS to take a timeout from: "
                f'add "{model._meta.label_lower}": {{"timeout": ...}}, or give cached_as a timeout'
            )
        return profile.timeout

    def dependencies(self) -> Dependencies:
        """Return what all of the results depend on; raise Uncacheable where that cannot be followed."""
        if not self._is_followed:
            raise Uncacheable("a list does not say which rows it stands for", "unknown")
        if not self.samples:
            return NOTHING
        found = self.know()[1]
        if isinstance(found, str):
            raise Uncacheable(found)
        return found

    def at_hand(self) -> Dependencies | None:
        """Return what all of the results depend on, if it need not be found out, for which databases are asked."""
        if not self._is_followed:
            return None
        if not self.samples:
            return NOTHING
        known = self.known
        return None if known is None or known[0] != self.state() or isinstance(known[1], str) else known[1]

    def know(self) -> tuple[Any, Dependencies | Reason, bytes]:
        """Return what is known by now, which is found out anew where the state is another one."""
        state, known = self.state(), self.known
        if known is None or known[0] != state:
            if not self.samples:
                known = self.known = (state, NOTHING, OF_NOTHING)
                return known
            found: Dependencies | Reason
            digest = b""
            try:
                found, digest = _looked_at(self.samples)
            except (Uncacheable, Unfingerprintable) as refusal:
                found = refusal.reason
            known = self.known = (state, found, digest)
        return known

    def state(self) -> tuple[Any, ...]:
        """Return what decides on what the samples depend on."""
        # Samples do not change, but settings may, and routers may name another database each time.
        databases = [sample.db for sample in self.samples if isinstance(sample, QuerySet)]
        return conf.current(), conf.uses_time_zones(), databases

    def models(self) -> list[type[Model]]:
        """Return the models of the samples."""
        return [model_of(sample) for sample in self.samples]

    def cache(self, func: Callable[..., Any] | None) -> Cache:
        """Return the cache in which the results are, which may depend on whoever is asking.

        Raises MixedPrefixes, which is an Uncacheable, if there is not one for all of them.
        """
        settings = conf.current()
        if isinstance(settings.prefix, str):
            return caches.current()
        known = self.know()[1]
        names = [] if isinstance(known, str) else [table for table, _ in known.tables]
        databases = {settings.primary_of(database_of(sample)) for sample in self.samples} or {
            DEFAULT_DB_ALIAS
        }
        found = {id(cache): cache for cache in (caches.of(names, using, func) for using in databases)}
        if len(found) > 1:
            raise caches.MixedPrefixes(
                f"CACHEOPS_PREFIX must be one for all that a result depends on, and differs for the databases "
                f"{', '.join(sorted(databases))}: take samples from one of them"
            )
        return found.popitem()[1]


def checked(sample: Any) -> Any:
    """Return a sample as a queryset, a model or an object; raise ConfigurationError if it is none."""
    if isinstance(sample, Manager):
        return sample.all()
    if isinstance(sample, QuerySet) or (isinstance(sample, type) and issubclass(sample, Model)):
        return sample
    if not isinstance(sample, Model):
        raise ConfigurationError(f"a sample must be a queryset, a model or an instance, got {sample!r}")
    if sample.pk is None:
        raise ConfigurationError(
            f"a sample must be an object that can change, and this {sample._meta.label} has not been saved"
        )
    return sample


def model_of(sample: Any) -> type[Model]:
    """Return the model whose rows a sample stands for."""
    if isinstance(sample, QuerySet):
        return sample.model
    return sample if isinstance(sample, type) else sample._meta.model


def database_of(sample: Any) -> str:
    """Return the database in which these rows are, or would be written."""
    if isinstance(sample, QuerySet):
        return sample.db
    instance = None if isinstance(sample, type) else sample
    return (instance and instance._state.db) or router.db_for_write(model_of(sample), instance=instance)


def _looked_at(samples: tuple[Any, ...]) -> tuple[Dependencies, bytes]:
    """Return what results of these samples depend on, and a digest of the samples.

    Raises Uncacheable or Unfingerprintable where that cannot be followed.
    """
    parts = [
        depends(sample) if isinstance(sample, QuerySet) else (sample, _depends_on(sample))
        for sample in samples
    ]
    found = parts[0][1].merge(*(depending for _, depending in parts[1:])) if parts[1:] else parts[0][1]
    forbidden = tables.forbidden()
    for table, _ in found.tables:
        if table in forbidden:
            raise Uncacheable(f"it depends on {table}, which the settings map to None", "forbidden")
    return found, stable_key(*(told for told, _ in parts))


def _depends_on(sample: Any) -> Dependencies:
    found: dict[str, set[Conjunction]] = {}
    for part in tables.parts_of(model_of(sample)):
        found[part._meta.db_table] = {ANY_ROW if isinstance(sample, type) else _by_key(sample, part)}
    return Dependencies.of(found)


def _by_key(instance: Model, model: type[Model]) -> Conjunction:
    """Return the condition that an object is this one, or "any row" where its key does not narrow."""
    vendor = connections[instance._state.db or DEFAULT_DB_ALIAS].vendor
    key = {str(field.column): getattr(instance, field.attname) for field in model._meta.pk_fields}
    return tuple(sorted(rows.tokens(rows.columns(model, vendor), key).items()))
