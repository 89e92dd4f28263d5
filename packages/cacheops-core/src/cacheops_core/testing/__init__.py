"""What tests of caching need: a server of their own, round trips counted, the protocol without a server.

`cacheops_core.testing.plugin` has the same as pytest fixtures.
"""

from .clusters import Cluster, start_cluster
from .replays import replay
from .round_trips import RoundTrips, count_round_trips
from .servers import Server, free_port, known_binaries, start_server
from .stepping import Stepped
from .waiting import wait_for

__all__ = [
    "Cluster",
    "RoundTrips",
    "Server",
    "Stepped",
    "count_round_trips",
    "free_port",
    "known_binaries",
    "replay",
    "start_cluster",
    "start_server",
    "wait_for",
]
