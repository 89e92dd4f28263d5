"""Making sure that a server which has answered is still the one to ask, where another one may have taken its place.

One that has hung goes on as a primary until it hears that it is none any more (the story is in `runs`). So somebody
else is asked: a sentinel, or another node of the cluster.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .flows import Call, Request
from .wire_commands import Steps

if TYPE_CHECKING:
    from .wires import Wire

log: logging.Logger = logging.getLogger("cacheops")

Confirm = Callable[[Any, Sequence[Request]], Steps]
"""Takes a connection and the requests that were answered over it; raises if another server is to be asked instead."""


def by_sentinels(pool: Any, loss: type[Exception]) -> Confirm | None:
    """Return what asks the sentinels that tell a pool where its server is; None for any other pool."""
    if not getattr(pool, "is_master", False) or not hasattr(pool, "get_master_address"):
        return None

    def confirm(connection: Any, _: Sequence[Request]) -> Steps:
        # Who asks learns it for the whole pool, which closes what is idle.
        address = yield pool.get_master_address()
        if address != (connection.host, connection.port):
            raise loss("the sentinels have made another server the primary")

    return confirm


class OtherNodes:
    """The nodes of a cluster, which know of each other who has which slots."""

    def __init__(self, client: Any, wire_of: Callable[[Any], Wire], errors: Any) -> None:
        self._client, self._wire_of = client, wire_of
        self._gone: tuple[type[Exception], ...] = (
            errors.ConnectionError,
            errors.RedisClusterException,
            errors.TimeoutError,
        )
        self._late: type[Exception] = errors.TimeoutError
        """What is raised for an answer that is not to be believed. Of a loss, the client would ask again at once."""
        self._teller: Wire | None = None
        """The node that has told last whose the slots are."""

    def confirm(self, wire: Wire, connection: Any, requests: Sequence[Request]) -> Steps:
        """Make sure that the others send whoever asks for these keys to the node that has answered."""
        if len(self._client.get_primaries()) < 2:
            # It takes others to choose another one.
            return
        others = [other for node in self._client.get_nodes() if (other := self._wire_of(node)) is not wire]
        key = _key_of(requests[0])
        try:
            mine = yield from wire.saying(connection, "CLUSTER", "MYID")
            owner = yield from self._owner(others, self._client.keyslot(key))
        except wire.refusal as error:
            _tell(str(error))
            return
        if owner != mine and (yield from self._is_served(others, owner, key)):
            raise self._late("the node did not answer until another one had taken its place")

    def _owner(self, others: list[Wire], slot: int) -> Steps:
        """Return the id of the node that has a slot, as the first of the others says that answers."""
        for other in sorted(others, key=lambda one: one is not self._teller):
            try:
                slots = yield from other.saying_once("CLUSTER", "SLOTS")
            except self._gone:
                continue
            self._teller = other
            return next((owners[0][2] for first, last, *owners in slots if first <= slot <= last), None)
        raise self._late("no other node of the cluster says who serves these keys")

    def _is_served(self, others: list[Wire], owner: bytes | None, key: Any) -> Steps:
        """Tell whether a key is served by the node with this id; it may not have told all yet that a slot has moved."""
        for other in others:
            try:
                if (yield from other.saying_once("CLUSTER", "MYID")) == owner:
                    yield from other.saying_once("EXISTS", key)
                    return True
            except other.refusal:
                return False
            except self._gone:
                continue
        return True


def _key_of(request: Request) -> Any:
    return request.keys[0] if isinstance(request, Call) else request.args[0]


_told: set[str] = set()


def _tell(text: str) -> None:
    if text not in _told:
        _told.add(text)
        log.warning(
            "The nodes of the cluster do not tell whose the slots are (%s). If one of them ever hangs until another "
            "has taken its place, and then goes on, what it is told in that moment is lost: allow CLUSTER MYID and "
            "CLUSTER SLOTS",
            text,
        )
