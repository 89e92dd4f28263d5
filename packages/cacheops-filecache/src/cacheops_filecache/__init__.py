"""A cache in files, safe under concurrent writers, readers and cleaners."""

__version__ = "0.1.0"
