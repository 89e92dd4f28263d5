"""Cached querysets for Django under one name: everything that a site needs is imported from here."""

__version__ = "0.1.0"
