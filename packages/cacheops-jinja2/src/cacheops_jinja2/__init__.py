"""Cached fragments for Jinja2 templates: the tags ``{% cached %}`` and ``{% cached_as %}``."""

from .extension import CacheopsExtension

__version__ = "0.1.0"

__all__ = ["CacheopsExtension"]
