"""Where the cache's server is: reads and checks CACHEOPS_REDIS, CACHEOPS_SENTINEL and CACHEOPS_CLUSTER.

Nothing is opened and no client library is imported by reading; `clients` makes a client of what this returns.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from cacheops_core.embedded_folders import folder_of
from cacheops_core.errors import ConfigurationError
from cacheops_core.profiles import parse_timeout
from cacheops_django.problems import shown

__all__ = ["Connection", "read_client_class", "read_cluster", "read_redis", "read_sentinel", "redacted"]

SCHEMES = ("redis", "rediss", "unix", "embedded", "valkey", "valkeys")


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Where the server is and how to speak with it. Two that are equal may share a client."""

    kind: Literal["redis", "sentinel", "cluster"] = "redis"
    """Which of the three settings it was, and so which kind of client it takes."""

    url: str | None = field(default=None, repr=False)
    """The place as a URL; None where `arguments` tell it. Not shown: it may hold a password, as they may."""

    arguments: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Keyword arguments of the client."""

    client_class: str | type | None = None
    """The class of the client, or its dotted path; None is redis-py's own for the kind."""

    @property
    def is_embedded(self) -> bool:
        """Whether the server is one that this project starts for itself."""
        return self.url is not None and self.url.startswith("embedded:")


def read_redis(value: object, name: str) -> Connection:
    """Return the connection that a URL or a dictionary of client arguments describes."""
    if isinstance(value, str):
        return Connection(url=_read_url(value, name, SCHEMES))
    return Connection(arguments=_read_arguments(value, name))


def read_sentinel(value: object, name: str) -> Connection:
    """Return the connection to the primary that sentinels at `locations` know as `service_name`."""
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{name} is {shown(value)}, not a dictionary")
    for key in ("locations", "service_name"):
        if not value.get(key):
            raise ConfigurationError(f'{name} has no "{key}"')
    arguments = _read_arguments(value, name)
    arguments["locations"] = _read_places(value["locations"], f'{name}["locations"]')
    return Connection(kind="sentinel", arguments=arguments)


def read_cluster(value: object, name: str) -> Connection:
    """Return the connection to a cluster, of which a URL or a dictionary names a node or several."""
    if isinstance(value, str):
        return Connection(
            kind="cluster", url=_read_url(value, name, ("redis", "rediss", "valkey", "valkeys"))
        )
    arguments = _read_arguments(value, name)
    if arguments.pop("db", 0) not in (0, "0"):
        raise ConfigurationError(f'{name}["db"] is not 0, and a cluster has no other database')
    nodes = arguments.get("startup_nodes")
    if nodes is not None:
        arguments["startup_nodes"] = _read_places(nodes, f'{name}["startup_nodes"]')
    elif not arguments.get("host"):
        raise ConfigurationError(f'{name} has neither "host" nor "startup_nodes"')
    return Connection(kind="cluster", arguments=arguments)


def read_client_class(value: object, name: str) -> str | type | None:
    """Return the class of the client or its dotted path, which is imported when the first client is made."""
    if value is None or isinstance(value, type) or (isinstance(value, str) and "." in value):
        return value
    raise ConfigurationError(f"{name} is {shown(value)}, not a class or the dotted path of one")


def redacted(url: str) -> str:
    """Return a URL without its password, which has no business in a log."""
    return re.sub(r"(//[^/@:]*:)[^/@]*(?=@)|((?:^|[?&])password=)[^&]*", r"\1\2***", url)


def _read_url(url: str, name: str, schemes: Iterable[str]) -> str:
    shown_url = f'{name} is "{redacted(url)}"'
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigurationError(f"{shown_url}, which is no URL: {error}") from error
    if parts.scheme not in schemes:
        raise ConfigurationError(f"{shown_url}, whose scheme is none of {', '.join(schemes)}")
    if port == 0:
        raise ConfigurationError(f"{shown_url}, and no server has the port 0")
    if parts.scheme == "embedded":
        folder_of(url)
    if parts.scheme == "unix" and (not parts.path or (parts.netloc and not parts.netloc.endswith("@"))):
        raise ConfigurationError(f"{shown_url}, which has no absolute path: that begins with a third slash")
    return url


def _read_arguments(value: object, name: str) -> dict[str, Any]:
    """Return the arguments of a client, without those whose emptiness says that they are not meant."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ConfigurationError(f"{name} is {shown(value)}, not a URL or a dictionary of client arguments")
    arguments = {key: item for key, item in value.items() if (key, item) != ("unix_socket_path", "")}
    for key, last in (("port", 65535), ("db", 2**31)):
        if key in arguments:
            _check_number(arguments[key], f'{name}["{key}"]', last)
    for key in ("socket_timeout", "socket_connect_timeout"):
        if key in arguments:
            arguments[key] = parse_timeout(arguments[key], f'{name}["{key}"]')
    if arguments.get("decode_responses"):
        raise ConfigurationError(f'{name}["decode_responses"] is True, but entries are bytes, not text')
    return arguments


def _check_number(value: object, name: str, last: int) -> None:
    # A port or a database from an environment variable is text, and the clients take it so.
    is_number = isinstance(value, (int, str)) and not isinstance(value, bool) and str(value).isdecimal()
    if not is_number or int(str(value)) > last:
        raise ConfigurationError(f"{name} is {shown(value)}, not a whole number from 0 to {last}")


def _read_places(value: object, name: str) -> list[tuple[str, int]]:
    """Return hosts and ports, written as pairs or, as a cluster's often are, as dictionaries."""
    try:
        items = [(item["host"], item["port"]) if isinstance(item, Mapping) else tuple(item) for item in value]  # type: ignore[attr-defined]
        return [(str(host), int(port)) for host, port in items]
    except (TypeError, ValueError, KeyError) as error:
        raise ConfigurationError(f"{name} is {shown(value)}, not a list of pairs of host and port") from error
