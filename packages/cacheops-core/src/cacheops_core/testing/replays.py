"""Running a flow against replies that are known beforehand: the protocol without a server."""

from collections.abc import Iterable
from typing import Any, TypeVar

from cacheops_core.flows import Flow

T = TypeVar("T")


def replay(flow: Flow[T], replies: Iterable[Any] = ()) -> tuple[list[Any], T]:
    """Return what the flow asked for, one item for each round trip, and its result.

    A reply that is an exception is raised where the flow waits. The flow must ask for every reply, and for
    no more than there are.
    """
    asked: list[Any] = []
    left = list(replies)
    try:
        request = next(flow)
        while True:
            asked.append(request)
            if not left:
                raise AssertionError(f"the flow asks for more than {len(asked) - 1} replies: {request!r}")
            reply = left.pop(0)
            request = flow.throw(reply) if isinstance(reply, BaseException) else flow.send(reply)
    except StopIteration as stop:
        if left:
            raise AssertionError(f"the flow returned before it asked for {left!r}") from None
        return asked, stop.value
