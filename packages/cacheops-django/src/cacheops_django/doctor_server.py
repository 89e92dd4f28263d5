"""What `doctor` finds out about the server: its version, role, persistence, memory, latency and clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal, NamedTuple

from cacheops_core.cache import Cache
from cacheops_core.clients import is_cluster
from cacheops_core.errors import BackendError
from cacheops_core.flows import Command, Flow
from cacheops_core.runs import REFRESH

from .words import duration, size

__all__ = ["Finding", "Info", "Level", "asking", "clock", "info_of", "latency", "told"]

Level = Literal["ok", "note", "warning", "error"]

OLDEST = {"redis": (6, 2), "valkey": (7, 2)}
"""Versions from which on servers know all that is asked of them."""

PINGS = 25
SLOW = 0.005
"""Seconds for one round trip above which a hit is slower than many a query."""

CLOCKS = 60.0
"""Seconds by which clocks may differ. Nothing stale comes of it, but counts stand under other minutes."""

FULL = 0.9
"""The part of its memory that a server uses before it is worth telling."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    subject: str
    says: str
    remedy: str = ""
    """What to do; empty where nothing is to be done."""


class Info(NamedTuple):
    """What the server tells of itself."""

    fields: Mapping[str, str]

    def number(self, name: str) -> int:
        """Return a number, 0 if the server does not tell it."""
        text = self.fields.get(name, "")
        return int(text) if text.isdigit() else 0

    @property
    def product(self) -> str:
        """Which server it is: "redis" or "valkey"."""
        return self.fields.get("server_name", "redis").lower()

    @property
    def version(self) -> str:
        return self.fields.get(f"{self.product}_version") or self.fields.get("redis_version", "unknown")


def info_of(cache: Cache) -> Info:
    """Return what the server tells of itself; raise BackendError if it does not."""
    return Info(_parsed(cache.driver.run(asking("INFO"))))


def latency(cache: Cache) -> Iterator[Finding]:
    """Tell how long a round trip takes."""
    took = []
    for _ in range(PINGS):
        began = time.perf_counter()
        cache.driver.run(asking("PING"))
        took.append(time.perf_counter() - began)
    typical = median(took)
    says = f"A round trip takes {_short(typical)} (the slowest of {PINGS} took {_short(max(took))})."
    if typical > SLOW:
        remedy = (
            "Move the server nearer: every hit waits for one round trip. Many a query is faster than that."
        )
        yield Finding("warning", "latency", says, remedy)
    else:
        yield Finding("ok", "latency", says)


def _short(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms"


def clock(cache: Cache) -> Iterator[Finding]:
    """Tell by how much the clocks differ."""
    began = time.time()
    seconds, micros = cache.driver.run(asking("TIME"))
    here = (began + time.time()) / 2
    behind = int(seconds) + int(micros) / 1e6 - here
    if abs(behind) > CLOCKS:
        says = f"The server's clock is {duration(abs(behind))} {'ahead' if behind > 0 else 'behind'}."
        remedy = "Let both machines follow a time server. Nothing stale is served, but counts stand under other times."
        yield Finding("warning", "clock", says, remedy)
    else:
        yield Finding("ok", "clock", "The server's clock and ours agree.")


def told(cache: Cache) -> Iterator[Finding]:
    """Tell what follows from what the server says of itself."""
    try:
        info = info_of(cache)
    except BackendError as error:
        says = f"The server does not tell its version, memory and persistence: {error}"
        yield Finding("warning", "server", says, "Allow the user that the site logs in as the command INFO.")
        return
    for look in _LOOKS:
        yield from look(cache, info)


def _cluster(cache: Cache, info: Info) -> Iterator[Finding]:
    if info.fields.get("cluster_enabled") == "1" and not is_cluster(cache.driver.client):
        remedy = "Name it in CACHEOPS_CLUSTER instead of CACHEOPS_REDIS."
        yield Finding(
            "error", "server", "It is a node of a cluster, and is asked as if it were alone.", remedy
        )


def _version(cache: Cache, info: Info) -> Iterator[Finding]:
    says = f"{info.product.capitalize()} {info.version}"
    oldest = OLDEST.get(info.product)
    numbers = tuple(int(part) for part in info.version.split(".")[:2] if part.isdigit())
    if oldest and numbers and numbers < oldest:
        wanted = ".".join(map(str, oldest))
        yield Finding("error", "version", f"{says} is too old.", f"Use {wanted} or newer.")
    else:
        yield Finding("ok", "version", f"{says}.")


def _role(cache: Cache, info: Info) -> Iterator[Finding]:
    if info.fields.get("role") == "slave":
        remedy = "Name the primary instead, or the sentinels that know it in CACHEOPS_SENTINEL."
        yield Finding("error", "role", "The server is a replica, which takes no writes.", remedy)


def _sentinels(cache: Cache, info: Info) -> Iterator[Finding]:
    pool: Any = getattr(cache.driver.client, "connection_pool", None)
    if (manager := getattr(pool, "sentinel_manager", None)) is None:
        return
    for number, sentinel in enumerate(manager.sentinels, 1):
        try:
            patience = int(sentinel.sentinel_master(pool.service_name)["down-after-milliseconds"])
        except Exception as error:  # of whichever client it is
            remedy = (
                "Start it, or name those that run: with fewer of them nobody replaces a primary that dies."
            )
            yield Finding("warning", "sentinels", f"Sentinel {number} does not answer: {error}", remedy)
            continue
        if patience > 1000 * REFRESH:
            yield Finding("ok", "sentinels", f"Sentinel {number} knows {pool.service_name}.")
        else:
            says = f"Sentinel {number} takes a server for dead that has not answered for {patience} ms."
            remedy = (
                f"Set down-after-milliseconds to more than {1000 * REFRESH:.0f}: a connection asks that often "
                f"whether its server is still the primary."
            )
            yield Finding("warning", "sentinels", says, remedy)


def _persistence(cache: Cache, info: Info) -> Iterator[Finding]:
    kinds = ["a log (appendonly)"] if info.fields.get("aof_enabled") == "1" else []
    if _snapshots(cache, info):
        kinds.append("snapshots (save)")
    if not kinds:
        yield Finding("ok", "persistence", "The server keeps nothing on disk.")
        return
    says = f"The server keeps what it holds on disk, in {' and '.join(kinds)}."
    remedy = (
        'Set save "" and appendonly no. What it brings back after a crash may have been dropped since, and is not '
        "served, so that it only takes time and memory."
    )
    yield Finding("warning", "persistence", says, remedy)


def _snapshots(cache: Cache, info: Info) -> bool:
    """Tell whether the server saves snapshots by itself, or has saved any where it does not tell that."""
    try:
        reply = cache.driver.run(asking("CONFIG", "GET", "save"))
    except BackendError:
        return bool(info.number("rdb_saves"))
    values = reply.values() if isinstance(reply, Mapping) else reply[1::2]
    return any(values)


def _memory(cache: Cache, info: Info) -> Iterator[Finding]:
    used, most = info.number("used_memory"), info.number("maxmemory")
    policy = info.fields.get("maxmemory_policy", "unknown")
    if not most:
        remedy = (
            "Set maxmemory, and maxmemory-policy allkeys-lru or allkeys-lfu: what is evicted is only a miss."
        )
        yield Finding("warning", "memory", f"{size(used)} are used, and there is no limit.", remedy)
        return
    says = f"{size(used)} of {size(most)} are used; {policy}."
    if policy == "noeviction":
        remedy = "Set maxmemory-policy to allkeys-lru or allkeys-lfu: what is evicted is only a miss."
        says = f"{says} When it is full, nothing can be stored or invalidated, and writes fail."
        yield Finding("error" if used > FULL * most else "warning", "memory", says, remedy)
    elif used > FULL * most:
        evicted = info.number("evicted_keys")
        remedy = "Raise maxmemory if hits are few; evicting is no harm otherwise."
        yield Finding("note", "memory", f"{says} {evicted:,} keys have been evicted.", remedy)
    else:
        yield Finding("ok", "memory", says)


_LOOKS: tuple[Callable[[Cache, Info], Iterator[Finding]], ...] = (
    _version,
    _role,
    _cluster,
    _sentinels,
    _persistence,
    _memory,
)


def asking(name: str, *args: str) -> Flow[Any]:
    """Return the server's reply to a command."""
    return (yield Command(name, args))


def _parsed(reply: Any) -> dict[str, str]:
    """Return INFO's reply as texts by name, be it that or already parsed by the client."""
    if isinstance(reply, Mapping):
        return {str(name): str(value) for name, value in reply.items()}
    text = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else str(reply)
    pairs = (line.partition(":") for line in text.splitlines())
    return {name: value for name, colon, value in pairs if colon}
