"""The thin package keeps the two promises that it makes: it imports alone, and says which version it is."""

from __future__ import annotations

import sys
from importlib.metadata import version

import cacheops_jinja2


def test_the_module_says_the_version_that_was_installed():
    assert cacheops_jinja2.__version__ == version("cacheops-jinja2")


def test_importing_it_needs_no_django():
    assert "django" not in sys.modules
