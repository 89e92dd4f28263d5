"""A network that fails between the processes and the server."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, cast

from soak.proxy import Proxy
from soak.scenario import AFTER_FAULT, DEGRADING, Scenario
from soak.sites import Site, one_server
from soak.stage import Stage


class Links(Site):
    """One server, to which writers and readers have a link each."""

    def __init__(self, server: Any) -> None:
        super().__init__(server)
        self.links = {"writer": Proxy(server.port), "reader": Proxy(server.port)}

    def settings(self, role: str) -> dict[str, Any]:
        return {"CACHEOPS_REDIS": f"redis://127.0.0.1:{self.links[role].port}/0"}


@contextmanager
def linked(binary: str) -> Iterator[Links]:
    """Run a server and its links."""
    with one_server(binary) as site:
        links = Links(site.server)
        try:
            yield links
        finally:
            for link in links.links.values():
                link.close()


CUTS: dict[str, Callable[[Proxy], AbstractContextManager[None]]] = {
    "connections refused": Proxy.refusing,
    "black hole": Proxy.swallowing,
    "late delivery": Proxy.holding,
    "replies lost": Proxy.deaf,
    "replies cut": Proxy.cutting_replies,
}


def cut(stage: Stage) -> None:
    """Cut the links of writers, of readers or of both, one way after the other, for up to two seconds."""
    links = cast(Links, stage.site).links
    rounds = [(kind, roles) for roles in (["writer", "reader"], ["writer"], ["reader"]) for kind in CUTS]
    stage.random.shuffle(rounds)
    while stage.wait(0.3, 0.8):
        kind, roles = rounds.pop(0)
        rounds.append((kind, roles))
        with stage.fault(kind), ExitStack() as stack:
            for role in roles:
                stack.enter_context(CUTS[kind](links[role]))
            stage.wait(0.2, 2.0)


NETWORK = Scenario(
    name="network",
    story="links that refuse, swallow, delay or cut what is sent; the site goes on without the cache",
    site=linked,
    fault=cut,
    settings=DEGRADING,
    tweaks=("pauses",),
    bound=AFTER_FAULT,
    rest=1.5,
    short=4.0,
)

SCENARIOS = [NETWORK, NETWORK.strict()]
