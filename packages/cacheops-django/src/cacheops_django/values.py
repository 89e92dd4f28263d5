"""Readers of the settings that are one value each: what people write in, what the package works with out.

Each takes the value and the name of its setting, and raises `ConfigurationError` with both in its message.
"""

import os
import re
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from inspect import getattr_static, signature
from pathlib import Path
from types import FunctionType, SimpleNamespace
from typing import Any, cast

from django.db.models import Field
from django.utils.module_loading import import_string

from cacheops_core import serializers
from cacheops_core.compression import Compressed
from cacheops_core.errors import ConfigurationError
from cacheops_core.profiles import parse_timeout
from cacheops_core.signing import secrets
from cacheops_django.problems import shown

__all__ = [
    "read_compression", "read_count", "read_directory", "read_flag", "read_lag", "read_names",
    "read_prefix", "read_replicas", "read_seconds", "read_serializer", "read_signing_key", "read_timeout",
]  # fmt: skip

Prefix = str | Callable[[Any], str]

_DOTTED_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")

read_timeout = parse_timeout


def read_flag(value: object, name: str) -> bool:
    """Return True or False, also for 1 and 0, and take nothing else: the text "False" would mean True."""
    if not isinstance(value, int) or value not in (0, 1):
        raise ConfigurationError(f"{name} is {shown(value)}, not True or False")
    return bool(value)


def read_count(value: object, name: str) -> int:
    """Return a whole number of one or more."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError(f"{name} is {shown(value)}, not a whole number above zero")
    return value


def read_lag(value: object, name: str) -> float:
    """Return seconds, of which there may be none."""
    return 0.0 if value == 0 and not isinstance(value, bool) else read_seconds(value, name)


def read_seconds(value: object, name: str) -> float:
    """Return a time above zero."""
    seconds = parse_timeout(value, name)
    if seconds is None:
        raise ConfigurationError(f"{name} is None, which is no number of seconds")
    return seconds


def read_names(value: object, name: str) -> frozenset[str]:
    """Return a set of names from any collection of them; a field's class stands for its own."""
    is_collection = isinstance(value, Iterable) and not isinstance(value, (str, bytes))
    names = list(value) if is_collection and isinstance(value, Iterable) else [None]
    names = [item.__name__ if isinstance(item, type) and issubclass(item, Field) else item for item in names]
    if not all(isinstance(item, str) for item in names):
        raise ConfigurationError(f"{name} is {shown(value)}, not a collection of strings")
    return frozenset(map(str, names))


def read_directory(value: object, name: str) -> Path | None:
    """Return the path of a directory, which need not exist; None leaves the choice to the file cache."""
    if value is None:
        return None
    if not isinstance(value, (str, os.PathLike)) or not os.fspath(value):
        raise ConfigurationError(f"{name} is {shown(value)}, not the path of a directory")
    return Path(os.fsdecode(value)).expanduser()


def read_prefix(value: object, name: str) -> Prefix:
    """Return a prefix, or what computes one from a query; a text that reads as a dotted path is one."""
    if isinstance(value, str) and _DOTTED_PATH.fullmatch(value):
        value = _imported(value, name)
        if not callable(value):
            raise ConfigurationError(f"{name} names {shown(value)}, which cannot be called")
    if isinstance(value, str) and set(value) & set("{}"):
        # In a cluster, what stands in braces decides on which node a key lives.
        raise ConfigurationError(f"{name} is {shown(value)}, and a prefix has no braces")
    if isinstance(value, str) or callable(value):
        return value
    raise ConfigurationError(f"{name} is {shown(value)}, not a string or a callable")


def read_serializer(value: object, name: str) -> Any:
    """Return the name of a serializer that the core knows, or an object that has `dumps` and `loads`."""
    if value in serializers.NAMES:
        _accepted(serializers.resolve, value, name)
        return value
    serializer = _imported(value, name) if isinstance(value, str) else value
    missing = [method for method in ("dumps", "loads") if not callable(getattr(serializer, method, None))]
    if missing:
        raise ConfigurationError(f"{name} is {shown(value)}, which has no {' and no '.join(missing)}")
    if isinstance(serializer, type) and _takes_only_a_value(serializer):
        # In a class whose body reads like a module there is no self, and so nothing to make an object of.
        return SimpleNamespace(dumps=serializer.dumps, loads=serializer.loads)  # type: ignore[attr-defined]
    return serializer


def _takes_only_a_value(serializer: type) -> bool:
    dumps = getattr_static(serializer, "dumps")
    return isinstance(dumps, FunctionType) and len(signature(dumps).parameters) == 1


def read_compression(value: object, name: str) -> str | None:
    """Return the name of a way to compress whose package is installed, or None for none."""
    if value is None:
        return None
    _accepted(lambda algorithm: Compressed("pickle", algorithm), value, name)
    return cast(str, value)


def read_signing_key(value: object, name: str) -> tuple[bytes, ...] | None:
    """Return the keys as bytes, the one that signs first, or None for none; an error does not tell them."""
    return None if value is None else secrets(value, name)


def read_replicas(value: object, name: str, databases: Iterable[str]) -> dict[str, str]:
    """Return the alias of its primary for each replica, all of them databases of this project."""
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{name} is {shown(value)}, not a dictionary")
    known = set(databases)
    for replica, primary in value.items():
        for alias in (replica, primary):
            if alias not in known:
                raise ConfigurationError(f"{name} has the alias {shown(alias)}, which is not in DATABASES")
        if primary in value:
            raise ConfigurationError(
                f'{name}["{replica}"] is "{primary}", which is itself declared a replica'
            )
    return dict(value)


def _accepted(read: Callable[[Any], object], value: object, name: str) -> None:
    """Let the core read a value; what it raises names the setting as well, and which package may be lacking."""
    try:
        read(value)
    except ConfigurationError as error:
        raise ConfigurationError(f"{name} is {shown(value)}: {error}") from error


def _imported(path: str, name: str) -> object:
    """Return what a dotted path names: an attribute of a module, or a module."""
    try:
        return import_string(path)
    except ImportError:
        try:
            return import_module(path)
        except ImportError as error:
            raise ConfigurationError(f'{name} is "{path}", which cannot be imported: {error}') from error
