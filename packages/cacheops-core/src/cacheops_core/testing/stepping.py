"""Running a flow step by step, so that a test can have something happen between any two of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cacheops_core.drivers import SyncDriver
from cacheops_core.flows import Flow

__all__ = ["Stepped"]


class Stepped:
    """A flow that runs one request at a time."""

    def __init__(self, driver: SyncDriver, flow: Flow[Any]) -> None:
        self.driver = driver
        self.flow = flow
        self.request: Any = None
        """What it asks for next."""
        self.is_done: bool = False
        self.result: Any = None
        self.go_on(None)

    def step(self) -> bool:
        """Run the next request; return whether there was one."""
        if self.is_done:
            return False
        self.go_on(self.ask())
        return not self.is_done

    def ask(self) -> Any:
        """Run the next request without telling the flow; return the reply, to `go_on` with it."""
        return self.driver.execute(self.request)

    def go_on(self, reply: Any) -> None:
        """Give the flow a reply."""
        try:
            self.request = self.flow.send(reply)
        except StopIteration as stop:
            self.is_done, self.result = True, stop.value

    def until(self, is_next: Callable[[Any], bool]) -> Stepped:
        """Run up to, and without, the first request of this kind."""
        while not self.is_done and not is_next(self.request):
            self.step()
        return self

    def finish(self) -> Any:
        """Run to the end; return the flow's result."""
        while self.step():
            pass
        return self.result
