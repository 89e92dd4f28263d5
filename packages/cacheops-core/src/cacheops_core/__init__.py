"""Cached results that know what they depend on, kept in Redis and dropped by the writes that change them."""

__version__ = "0.1.0"
