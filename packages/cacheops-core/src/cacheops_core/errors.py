"""The errors of every cacheops distribution, few enough to be caught by what one would do about them.

::

    CacheopsError
    ├── ConfigurationError (ValueError)     change an option, a setting or an argument
    ├── KeyingError (TypeError)             give a value a stable key
    ├── BackendError (ConnectionError)      the server is away, slow or refuses: work without it
    └── CacheMiss (KeyError)                nothing is stored under this key: compute it
"""

from typing import Any

__all__ = ["BackendError", "CacheMiss", "CacheopsError", "ConfigurationError", "KeyingError"]


class CacheopsError(Exception):
    """Anything that cacheops raises on its own account."""


class ConfigurationError(CacheopsError, ValueError):
    """An option, a setting or an argument is not what it must be; the message names it, its value and the remedy."""


class KeyingError(CacheopsError, TypeError):
    """A value has no stable key; the message names the value, where it stood and how to give it one."""


class BackendError(CacheopsError, ConnectionError):
    """The server that keeps the entries could not be reached, was too slow or refused a command."""

    unanswered: tuple[Any, ...] = ()
    """What it is to be asked to see whether it is back, where no answer came; nothing where it has refused."""


class CacheMiss(CacheopsError, KeyError):
    """Nothing that may still be served is stored under the key."""
