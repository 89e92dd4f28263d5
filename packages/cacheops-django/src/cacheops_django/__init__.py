"""Cached querysets for Django: what a query reads decides what a write drops."""

__version__ = "0.1.0"
