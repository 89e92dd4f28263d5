"""Looks at all that the cache depends on, and says what is wrong and what to do: `manage.py cacheops doctor`."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from django.core.checks import Error

from cacheops_core.cache import Cache
from cacheops_core.errors import BackendError, CacheopsError

from . import caches, checks, conf, count_reports, counters, doctor_server
from .doctor_server import Finding, Level, asking
from .problems import SettingsError

__all__ = ["Finding", "examine"]

FEW_HITS, MANY_LOOKUPS = 0.2, 1000
"""The rate of hits below which caching a model costs more than it saves, and the lookups that it takes to tell."""

LOCAL = ("localhost", "127.", "::1")


def examine() -> list[Finding]:
    """Return all findings: of the settings, of the server, and of what has been counted."""
    findings = list(_settings())
    try:
        cache = caches.of_counters()
        cache.driver.run(asking("PING"))
    except SettingsError:
        # They have been told one by one.
        return findings
    except CacheopsError as error:
        remedy = "Start it, or correct the setting that names it. Until then, writes fail or wait for it."
        if conf.current().degrade_on_failure:
            remedy = "Start it, or correct the setting that names it. Until then, the site works from its database."
        return [*findings, Finding("error", "server", f"It does not answer: {error}", remedy)]
    findings += [*_security(conf.current()), *doctor_server.told(cache)]
    for look in doctor_server.latency, doctor_server.clock, _counts:
        try:
            findings += look(cache)
        except BackendError as error:
            findings.append(Finding("error", "server", str(error), "See what else is wrong with it."))
    return findings


# The settings


def _settings() -> Iterator[Finding]:
    messages = [*checks.check_settings(), *checks.check_models(), *checks.check_environment()]
    for message in messages:
        level: Level = "error" if isinstance(message, Error) else "warning"
        yield Finding(level, "settings", f"{message.msg} ({message.id})", message.hint or "")
    if not messages:
        profiles = [profile for profile in conf.current().profiles.values() if profile is not None]
        says = f"{len(profiles)} profile{'' if len(profiles) == 1 else 's'} and no mistake."
        yield Finding("ok", "settings", says)
        if not profiles:
            remedy = 'Add profiles to CACHEOPS: {"shop.*": {"ops": "all", "timeout": 3600}}.'
            yield Finding("warning", "settings", "There is no profile, so nothing is cached.", remedy)
        if not conf.current().enabled:
            yield Finding("warning", "settings", "CACHEOPS_ENABLED is False.", "Set it to True to cache.")


def _security(settings: conf.Settings) -> Iterator[Finding]:
    connection = settings.connection
    host = urlsplit(connection.url).hostname if connection.url else connection.arguments.get("host")
    # Without a host it is a socket of this machine's, or the client's own default, which is this machine.
    is_local = connection.kind == "redis" and (
        connection.is_embedded or not host or str(host).startswith(LOCAL)
    )
    if settings.serializer == "pickle" and not settings.signing_key and not is_local:
        says = "Results are pickles that are not signed: whoever can write to the server can run code here."
        yield Finding("warning", "signing", says, "Set CACHEOPS_SIGNING_KEY.")


# What has been counted


def _counts(cache: Cache) -> Iterator[Finding]:
    if conf.current().counters_every is None:
        remedy = "Set CACHEOPS_COUNTERS_EVERY to seconds, to see what the cache does."
        yield Finding("note", "counters", "Processes keep their counts to themselves.", remedy)
        return
    counted: counters.Counts = {}
    for _, counts in count_reports.hours(24):
        for name, number in counts.items():
            counted[name] = counted.get(name, 0) + number
    poor = [
        (model, op, figures)
        for (model, op), figures in count_reports.by(counted, lambda model, op: (model, op)).items()
        if figures.lookups >= MANY_LOOKUPS and (figures.hit_rate or 0) < FEW_HITS
    ]
    for model, op, figures in poor:
        asked = f"{figures.lookups:,} lookups for {op} of {model or 'functions'}"
        says = f"Only {figures.hit_rate:.0%} of {asked} were hits today."
        remedy = f'Take "{op}" out of its "ops", or see what drops it: manage.py cacheops stats --queries.'
        yield Finding("note", "hits", says, remedy)
    if not poor:
        yield Finding("ok", "hits", "No model is cached in vain.")
