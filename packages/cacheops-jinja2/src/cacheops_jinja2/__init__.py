"""Cached fragments for Jinja2 templates. This release reserves the name; the tags follow in a later one."""

__version__ = "0.1.0"
