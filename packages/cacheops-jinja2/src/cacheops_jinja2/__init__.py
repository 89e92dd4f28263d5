"""Cached fragments for Jinja2 templates: the distribution is reserved here, its tags come in a later release."""

__version__ = "0.1.0"
