"""Makes the client for a connection: the one place of the package that knows client libraries.

redis-py's own defaults let a site wait: 8.x tries a refused connection ten times more with growing pauses,
and waits five seconds for an answer. Here an answer is waited for one second, and only a broken connection is
tried again, once and at once, because a server that was restarted leaves every pool full of those. A time-out
is not tried again: whoever waited has waited enough.
"""

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from django.utils.module_loading import import_string

from cacheops_core.cache_async import connect
from cacheops_core.errors import ConfigurationError
from cacheops_django.connections import Connection, redacted

__all__ = ["accepted_arguments", "client_class", "make_async_client", "make_client"]

ANSWER_SECONDS = 1.0
LIBRARIES = ("redis", "valkey")
OF_SENTINEL = frozenset(
    {"locations", "service_name", "sentinel_kwargs", "min_other_sentinels", "force_master_ip"}
)


def make_client(connection: Connection) -> Any:
    """Return a client for the connection; only that of a cluster connects at once, to learn its nodes."""
    cls = client_class(connection)
    try:
        return _MAKERS[connection.kind](cls, connection)
    except (TypeError, ValueError) as error:
        place = redacted(connection.url) if connection.url else f"{sorted(connection.arguments)}"
        raise ConfigurationError(f"{cls.__qualname__} cannot be made from {place}: {error}") from error


def make_async_client(connection: Connection) -> Any:
    """Return a client for asyncio; None if the settings ask for what we know no such twin of.

    It connects when it is first used, in a cluster too.
    """
    arguments = dict(connection.arguments)
    if connection.client_class is not None or not all(map(_is_plain, arguments.values())):
        return None
    if connection.kind == "redis" and connection.url is not None:
        return connect(connection.url)
    arguments = _async_patience() | arguments
    try:
        return _ASYNC_MAKERS[connection.kind](connection.url, arguments)
    except (TypeError, ValueError):
        return None


def client_class(connection: Connection) -> type:
    """Return the class of the client, importing it."""
    wanted = connection.client_class
    if isinstance(wanted, type):
        return wanted
    path = wanted or {"cluster": "redis.cluster.RedisCluster"}.get(connection.kind, "redis.Redis")
    try:
        cls = import_string(path)
    except ImportError as error:
        raise ConfigurationError(
            f'CACHEOPS_CLIENT_CLASS is "{path}", which cannot be imported: {error}'
        ) from error
    if not isinstance(cls, type):
        raise ConfigurationError(f'CACHEOPS_CLIENT_CLASS is "{path}", which is no class')
    return cls


def accepted_arguments(connection: Connection) -> frozenset[str]:
    """Return the names of all arguments that the client takes; none at all if its class leaves that open."""
    cls = client_class(connection)
    names, is_open = _parameters(cls)
    if connection.kind == "cluster" and (library := _library(cls)):
        # What a cluster's client does not take itself it hands to the clients of its nodes.
        of_nodes, is_open = _parameters(import_module(library).Redis)
        names |= of_nodes
    if connection.kind == "sentinel":
        names |= OF_SENTINEL
    return frozenset() if is_open else frozenset(names)


def _parameters(cls: type) -> tuple[set[str], bool]:
    """Return the names of a class's arguments, and whether it takes others besides."""
    parameters = inspect.signature(cls).parameters.values()
    names = {parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD}
    return names, len(names) < len(parameters)


def _library(cls: type) -> str | None:
    """Return the name of the library that a client class is of, or None for one that we do not know."""
    roots = [base.__module__.partition(".")[0] for base in cls.__mro__]
    return next((root for root in roots if root in LIBRARIES), None)


def _patience(cls: type, url: str | None = None) -> dict[str, Any]:
    """Return how long and how often a client tries, for what the settings leave open."""
    library = _library(cls)
    if library is None:
        return {}
    errors = import_module(f"{library}.exceptions")
    no_pause = import_module(f"{library}.backoff").NoBackoff()
    retry = import_module(f"{library}.retry").Retry(no_pause, 1, supported_errors=(errors.ConnectionError,))
    patience = {"socket_timeout": ANSWER_SECONDS, "socket_connect_timeout": ANSWER_SECONDS, "retry": retry}
    if url is not None and url.startswith("unix:"):
        # Up to 5.x, redis-py takes no such argument for a Unix socket, whose connecting does not wait anyway.
        del patience["socket_connect_timeout"]
    return patience


def _make_single(cls: Any, connection: Connection) -> Any:
    if connection.url is None:
        return cls(**_patience(cls) | dict(connection.arguments))
    if connection.is_embedded:
        return _make_embedded(cls, connection.url)
    return cls.from_url(connection.url, **_patience(cls, connection.url))


def _make_embedded(cls: Any, location: str) -> Any:
    from cacheops_core import embedded

    url = embedded.start(location)
    client = cls.from_url(url, **_patience(cls, url))
    if _library(cls) == "redis":
        # It starts the server anew when the process that had started it is gone.
        client.connection_pool.connection_class = embedded.Connection
    return client


def _make_sentinel(cls: Any, connection: Connection) -> Any:
    arguments = _patience(cls) | dict(connection.arguments)
    locations, service_name = arguments.pop("locations"), arguments.pop("service_name")
    arguments["sentinel_kwargs"] = _for_sentinels(arguments)
    sentinel = import_module(f"{_library(cls) or 'redis'}.sentinel").Sentinel(locations, **arguments)
    return sentinel.master_for(service_name, cls)


def _for_sentinels(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of the sentinels' clients, which without any would have redis-py's patience, not ours."""
    shared = {key: value for key, value in arguments.items() if key.startswith("socket_") or key == "retry"}
    return shared | dict(arguments.get("sentinel_kwargs") or {})


def _make_cluster(cls: Any, connection: Connection) -> Any:
    arguments = _patience(cls) | dict(connection.arguments)
    if connection.url is not None:
        return cls.from_url(connection.url, **arguments)
    if "startup_nodes" in arguments:
        node = import_module(f"{_library(cls) or 'redis'}.cluster").ClusterNode
        arguments["startup_nodes"] = [node(host, port) for host, port in arguments["startup_nodes"]]
    return cls(**arguments)


def _is_plain(argument: Any) -> bool:
    """Tell whether an argument is not an object of a client that is not async, such as a pool."""
    if isinstance(argument, Mapping):
        return all(map(_is_plain, argument.values()))
    if isinstance(argument, list | tuple):
        return all(map(_is_plain, argument))
    return argument is None or isinstance(argument, str | bytes | int | float)


def _async_patience() -> dict[str, Any]:
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.exceptions import ConnectionError

    retry = Retry(NoBackoff(), 1, supported_errors=(ConnectionError,))
    return {"socket_timeout": ANSWER_SECONDS, "socket_connect_timeout": ANSWER_SECONDS, "retry": retry}


def _make_async_single(url: str | None, arguments: dict[str, Any]) -> Any:
    from redis.asyncio import Redis

    return Redis(**arguments)


def _make_async_sentinel(url: str | None, arguments: dict[str, Any]) -> Any:
    from redis.asyncio.sentinel import Sentinel

    locations, service_name = arguments.pop("locations"), arguments.pop("service_name")
    arguments["sentinel_kwargs"] = _for_sentinels(arguments)
    sentinel: Any = Sentinel(locations, **arguments)  # type: ignore[no-untyped-call]  # redis-py's
    return sentinel.master_for(service_name)


def _make_async_cluster(url: str | None, arguments: dict[str, Any]) -> Any:
    from redis.asyncio.cluster import ClusterNode, RedisCluster

    if url is not None:
        return RedisCluster.from_url(url, **arguments)
    if "startup_nodes" in arguments:
        arguments["startup_nodes"] = [ClusterNode(host, port) for host, port in arguments["startup_nodes"]]
    return RedisCluster(**arguments)


_MAKERS: Mapping[str, Callable[[Any, Connection], Any]] = {
    "redis": _make_single,
    "sentinel": _make_sentinel,
    "cluster": _make_cluster,
}
_ASYNC_MAKERS: Mapping[str, Callable[[str | None, dict[str, Any]], Any]] = {
    "redis": _make_async_single,
    "sentinel": _make_async_sentinel,
    "cluster": _make_async_cluster,
}
