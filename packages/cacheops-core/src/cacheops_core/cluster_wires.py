"""Speaking over the connections of a cluster's client: to each node over a wire of its own.

What belongs to several nodes goes out to all of them before the first is heard. Whatever a node does not answer
as one that serves these keys (they have moved or are moving, it is gone, the cluster is down) is left to the
client, which finds out where they are by now. It does not tell which server has answered, so that nothing is
served from there and nothing stored: a slot that moves is not cached until it has arrived.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import Any

from .client_libraries import LIBRARIES
from .clients import executing
from .confirming import OtherNodes
from .flows import Call, Command, Request
from .wire_commands import (
    Arguments,
    Steps,
    by_digest,
    by_source,
    is_no_script,
    is_repeatable,
    needs_run,
    raise_first,
)
from .wires import AsyncWire, Exchange, Wire, wire_of

KEYED = frozenset({"BLMOVE", "DEL", "EXISTS", "PERSIST", "PEXPIRE", "PTTL", "SET", "TYPE"})
"""Commands of one key, or of several in one slot, the first argument among them."""


@dataclass(slots=True)
class Part:
    """What goes to one node, and where the answers belong."""

    wire: Wire
    requests: list[Request] = field(default_factory=list)
    places: list[tuple[int, list[int] | None]] = field(default_factory=list)
    """For each request the number of the one that it is of, and if it reads some of its keys, which of them."""
    connection: Any = None


class ClusterWire:
    """The wires to the nodes of a cluster."""

    def __init__(self, client: Any, kind: type[Wire], library: str) -> None:
        errors = import_module(f"{library}.exceptions")
        self._client, self._kind, self._library = client, kind, library
        self._astray: tuple[type[Exception], ...] = (
            errors.AskError,
            errors.TryAgainError,
            errors.ClusterDownError,
        )
        """What a node says that does not serve these keys, or not now."""
        self._lost: tuple[type[Exception], ...] = (errors.ConnectionError, errors.RedisClusterException)
        self._wires: dict[str, tuple[Any, Wire]] = {}
        self._others = OtherNodes(client, self._wire_of, errors)

    def asking(self, request: Any) -> Steps:
        """Send a request, or several in one go to each node, and return the reply, or the list of them."""
        requests = request if type(request) is tuple else (request,)
        replies = None
        if all(map(_is_keyed, requests)):
            replies = yield from self._asking(requests, by_digest)
            if replies is not None and any(map(is_no_script, replies)):
                replies = yield from self._asking(requests, by_source)
        if replies is None:
            return (yield from executing(self._client, request))
        raise_first(replies)
        return replies if requests is request else replies[0]

    def _asking(self, requests: Sequence[Request], arguments: Arguments) -> Steps:
        """Return the replies, refusals among them, or None if the client has to find the nodes first."""
        may_repeat = is_repeatable(requests)
        parts: list[Part] = []
        try:
            parts = list(self._parts(requests).values())
            for part in parts:
                part.connection = yield from part.wire.taking(may_repeat)
        except BaseException as error:
            for part in parts:
                if part.connection is not None:
                    yield from part.wire.giving_up(part.connection, error)
            if isinstance(error, self._lost):
                return None
            raise
        try:
            answers = yield from _exchanging(parts, arguments)
        except self._lost:
            if not may_repeat:
                raise
            return None
        if any(isinstance(reply, self._astray) for replies in answers for reply in replies):
            return None
        return _assembled(requests, parts, answers)

    def _parts(self, requests: Sequence[Request]) -> dict[int, Part]:
        """Return what goes to each node."""
        parts: dict[int, Part] = {}
        for number, request in enumerate(requests):
            for key, keys, piece in self._pieces(request):
                wire = self._wire_of(self._client.get_node_from_key(key))
                part = parts.setdefault(id(wire), Part(wire))
                part.requests.append(piece)
                part.places.append((number, keys))
        return parts

    def _pieces(self, request: Request) -> Iterator[tuple[Any, list[int] | None, Request]]:
        """Yield a key of each slot that a request is about, which of its keys are in it, and what to ask there."""
        if isinstance(request, Call):
            yield request.keys[0], None, request
        elif request.name != "MGET":
            yield request.args[0], None, request
        else:
            slots: dict[int, list[int]] = {}
            for position, key in enumerate(request.args):
                slots.setdefault(self._client.keyslot(key), []).append(position)
            for positions in slots.values():
                keys = tuple(request.args[position] for position in positions)
                yield keys[0], positions, Command("MGET", keys, request.tells_run)

    def _wire_of(self, node: Any) -> Wire:
        if self._kind is not AsyncWire:
            client = getattr(self._client, f"get_{self._library}_connection")(node)
            wire = wire_of(client, Wire)
            assert wire is not None, "the nodes of a library's cluster have its own clients"
            wire.confirm = wire.confirm or partial(self._others.confirm, wire)
            return wire
        known = self._wires.get(node.name)
        if known is None or known[0] is not node:
            wire = AsyncWire(NodePool(node), node.response_callbacks, self._library)
            wire.confirm = partial(self._others.confirm, wire)
            known = self._wires[node.name] = node, wire
        return known[1]


class NodePool:
    """The connections of a node, as a pool of an asyncio client gives and takes them."""

    max_connections = 0
    """None are to be kept from it: taking them costs nothing."""

    def __init__(self, node: Any) -> None:
        self._node = node
        self.connection_class: Any = node.connection_class

    async def get_connection(self) -> Any:
        connection = self._node.acquire_connection()
        try:
            if hasattr(connection, "should_reconnect") and connection.should_reconnect():
                await connection.disconnect()
            await connection.connect()
        except BaseException:
            await self.release(connection)
            raise
        return connection

    async def release(self, connection: Any) -> None:
        free: deque[Any] = self._node._free
        free.append(connection)


def cluster_wire_of(client: Any, kind: type[Wire]) -> ClusterWire | None:
    """Return the wire of a cluster's client, one for all who use it; None if it is not of a kind that we know."""
    wire: ClusterWire | None = getattr(client, "_cacheops_wire", None)
    if wire is None:
        roots = {
            base.__module__.partition(".")[0] for base in type(client).__mro__ if "Cluster" in base.__name__
        }
        library = next((library for library in LIBRARIES if library in roots), None)
        if library is not None and hasattr(client, "get_node_from_key"):
            wire = vars(client).setdefault("_cacheops_wire", ClusterWire(client, kind, library))
    return wire


def _is_keyed(request: Request) -> bool:
    if isinstance(request, Call):
        return bool(request.keys)
    return request.name in KEYED or request.name == "MGET"


def _exchanging(parts: Sequence[Part], arguments: Arguments) -> Steps:
    """Return the replies of each node; all are sent before the first is read, and all are read."""
    left, exchanges = list(parts), list[Exchange]()
    answers: list[list[Any]] = []
    lost: Exception | None = None
    try:
        for part in parts:
            try:
                exchanges.append((yield from part.wire.sending(part.connection, part.requests, arguments)))
            except BaseException as error:
                # The connection is closed already; what the others answer has to be read all the same.
                left.remove(part)
                if not isinstance(error, Exception):
                    raise
                lost = error
        while left:
            part, exchange = left.pop(0), exchanges.pop(0)
            try:
                answers.append((yield from part.wire.receiving(exchange)))
            except Exception as error:
                lost = error
    except BaseException as error:
        for part in left:
            yield from part.wire.giving_up(part.connection, error)
        raise
    if lost is not None:
        raise lost
    return answers


def _assembled(requests: Sequence[Request], parts: Iterable[Part], answers: Iterable[list[Any]]) -> list[Any]:
    """Return the reply to each request, put together from what the nodes have answered."""
    replies: list[Any] = [
        [None] * len(one.args) if isinstance(one, Command) and one.name == "MGET" else None
        for one in requests
    ]
    runs = [[b""] * len(one) if isinstance(one, list) else [] for one in replies]
    for part, answer in zip(parts, answers, strict=True):
        for (number, keys), reply in zip(part.places, answer, strict=True):
            if keys is None or isinstance(reply, Exception):
                replies[number] = reply
            elif not isinstance(replies[number], Exception):
                run, values = reply if needs_run(requests[number]) else (b"", reply)
                for key, value in zip(keys, values, strict=True):
                    replies[number][key], runs[number][key] = value, run
    return [
        (runs[number], reply)
        if isinstance(one, Command) and one.tells_run and not isinstance(reply, Exception)
        else reply
        for number, (one, reply) in enumerate(zip(requests, replies, strict=True))
    ]
