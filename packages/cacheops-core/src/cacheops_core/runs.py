"""Runs: which life of which server answers, so that one which comes back with older data is taken for another.

A server that restarts from a snapshot, or a replica that becomes the primary before it has heard of the last
writes, has stamps and entries that were valid once. Nobody there knows that they have been dropped since. So
every generation carries the *run* of the server that made it: four bytes of a digest of its ``run_id``, which is
another one after each start, and its ``master_replid``, which is another one when a replica becomes a primary.
A generation of another run counts as none.

Whoever reads has to know which run has answered. A restart ends all connections, so the run is asked for once
over each new connection. A primary may become a replica and a primary again under connections that stay open,
and a proxy may hold them over any change behind it. So the run is asked for again every second or so, in front
of a request that is sent anyway.

*The primary that hung*, as a story. W asks it to drop what has changed, and it hangs. Its replica takes its place, and
others are served from there. It goes on, and answers W before it hears that it is a primary no more: W returns, and
what it has changed was dropped where nobody looks. So where that may be, whoever has asked for the run asks somebody
else next, whether that server is the one to ask: a sentinel, or another node of the cluster. And who has waited for an
answer for so long that this may have changed asks before it believes it. It can not change sooner: a server that has
answered within ``down-after-milliseconds`` (of Sentinel; ``cluster-node-timeout`` of a cluster) is not taken for dead.
These have to be more than `REFRESH`, and are 30 and 15 seconds unless somebody has chosen others.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha1
from typing import Any

from .stamps import RUN_LENGTH

log: logging.Logger = logging.getLogger("cacheops")

WHO: list[tuple[Any, ...]] = [("INFO", "server"), ("INFO", "replication")]
"""What a server is asked to learn its run. Up to Redis 6.2, ``INFO`` tells of one section at a time."""

REFRESH = 1.0
"""Seconds for which a run is taken for known."""

UNTOLD = bytes(RUN_LENGTH)
"""The run of servers that do not tell it."""

_IDS = re.compile(r"\b(?:run_id|master_replid):(\w+)")


@dataclass(frozen=True, slots=True)
class Known:
    """A run that was learned over a connection."""

    socket: Any
    """What the connection had at the time; when it is made anew, it has another."""
    run: bytes
    until: float
    """Until when it is taken for known, by ``time.monotonic()``."""


def run_of(replies: Iterable[Any]) -> bytes:
    """Return the run of a server from its replies to `WHO`; raise those that say that it is in trouble."""
    ids: list[str] = []
    for reply in replies:
        if isinstance(reply, Exception):
            _tell(reply)
            return UNTOLD
        ids += _ids(reply)
    if len(ids) != len(WHO):
        _tell(f"INFO tells {len(ids)} of run_id and master_replid")
        return UNTOLD
    return sha1("".join(ids).encode(), usedforsecurity=False).digest()[:RUN_LENGTH]


def _ids(reply: Any) -> list[str]:
    if isinstance(reply, Mapping):
        return [str(reply[name]) for name in ("run_id", "master_replid") if name in reply]
    return _IDS.findall(reply.decode("ascii", "replace") if isinstance(reply, bytes) else str(reply))


_told: set[str] = set()


def _tell(reason: Exception | str) -> None:
    text = str(reason)
    is_denied = isinstance(reason, str) or type(reason).__name__ == "NoPermissionError" or "unknown" in text
    if isinstance(reason, Exception) and not is_denied:
        raise reason
    if text not in _told:
        _told.add(text)
        log.warning(
            "The server does not tell which run of it this is (%s). If it ever comes back with older data, from a "
            "snapshot or as a promoted replica, what it has may be served although it has changed: allow INFO, to "
            "all users of this cache or to none",
            text,
        )
