"""A cache in files, safe under concurrent writers, readers and cleaners."""

from cacheops_core.errors import CacheMiss

from .store import FileCache, file_cache

__version__ = "0.1.0"

__all__ = ["CacheMiss", "FileCache", "file_cache"]
