"""`file_cache`: values, results of functions and answers of views in files, where the settings say."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any, ParamSpec, TypeVar, overload

from cacheops_core import decorators
from cacheops_core.decorators import CachedFunction, Decorator
from cacheops_core.errors import CacheMiss
from cacheops_core.options import seconds
from cacheops_django import conf
from cacheops_django.functions import function_and_timeout
from cacheops_django.shelves import SimpleShelf
from cacheops_django.views import decorator
from cacheops_filecache import store

__all__ = ["FileCache", "ProjectFileCache", "file_cache"]

P = ParamSpec("P")
R = TypeVar("R")

NOT_GIVEN: Any = object()
"""Stands for an argument that was left out, where None means something."""


class ProjectFileCache:
    """The words of `FileCache`, for the directory and the timeout that the settings name at the moment.

    Results of functions and answers of views are kept as by ``cached`` and ``cached_view``, but in files: nothing
    drops them but time, and what expired stays on the disk until ``manage.py cleanfilecache`` removes it.
    """

    def __init__(self) -> None:
        self._made: tuple[conf.Settings, store.FileCache] | None = None

    def current(self) -> store.FileCache:
        """Return the cache that the settings name."""
        settings, made = conf.current(), self._made
        if made is None or made[0] is not settings:
            made = self._made = (settings, self._make(settings))
        return made[1]

    def _make(self, settings: conf.Settings) -> store.FileCache:
        return store.FileCache(settings.file_cache_dir, timeout=settings.file_cache_timeout)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.current(), name)

    @overload
    def cached(self, func: Callable[P, R], /) -> CachedFunction[P, R]: ...

    @overload
    def cached(
        self, timeout: float | timedelta | None = ..., extra: Any = ..., *, lock: bool = ...
    ) -> Decorator: ...

    def cached(self, timeout: Any = NOT_GIVEN, extra: Any = None, **options: Any) -> Any:
        """Keep the results of a function in files: ``timeout``, ``extra`` and ``lock`` are as elsewhere."""
        kept = _Switched(self)
        if callable(timeout) or isinstance(timeout, classmethod | staticmethod):
            return decorators.cached(kept, timeout)
        given = {} if timeout is NOT_GIVEN else {"timeout": timeout}
        return decorators.cached(kept, extra=extra, **given, **options)

    def cached_view(
        self, view: Callable[..., Any] | float | timedelta | None = None, /, extra: Any = None, **options: Any
    ) -> Any:
        """Keep the answers of a view in files: ``timeout``, ``extra`` and ``lock`` are as elsewhere."""
        function, timeout = function_and_timeout(view, options.pop("timeout", NOT_GIVEN))
        given = {} if timeout is NOT_GIVEN else {"timeout": timeout}
        decorate = decorator(SimpleShelf(self, **given, **options), extra)
        return decorate if function is None else decorate(function)

    def lock(self, name: Any) -> AbstractContextManager[None]:
        """Let one thread of one process at a time in."""
        return self.current().lock(name)


class FileCache(ProjectFileCache):
    """The same in a directory of its own; ``timeout``, of entries that have none, is by default the settings'."""

    def __init__(self, path: str | os.PathLike[str], timeout: float | timedelta | None = NOT_GIVEN) -> None:
        super().__init__()
        self._path = path
        self._timeout = timeout if timeout is NOT_GIVEN else seconds(timeout, "timeout")

    def _make(self, settings: conf.Settings) -> store.FileCache:
        timeout = settings.file_cache_timeout if self._timeout is NOT_GIVEN else self._timeout
        return store.FileCache(self._path, timeout=timeout)


class _Switched:
    """The file cache for functions, which do without it where ``CACHEOPS_ENABLED`` says so."""

    def __init__(self, cache: ProjectFileCache) -> None:
        self._cache = cache

    def get(self, key: Any, default: Any = NOT_GIVEN) -> Any:
        given = () if default is NOT_GIVEN else (default,)
        if conf.current().enabled:
            return self._cache.current().get(key, *given)
        if not given:
            raise CacheMiss(key)
        return default

    def set(self, key: Any, value: Any, timeout: Any = NOT_GIVEN) -> None:
        given = () if timeout is NOT_GIVEN else (timeout,)
        if conf.current().enabled:
            self._cache.current().set(key, value, *given)

    def delete(self, key: Any) -> bool:
        return self._cache.current().delete(key)

    def get_or_compute(self, *args: Any, **options: Any) -> Any:
        if conf.current().enabled:
            return self._cache.current().get_or_compute(*args, **options)
        _, _, compute, *_ = args
        return compute()


file_cache: ProjectFileCache = ProjectFileCache()
"""The project's file cache."""
