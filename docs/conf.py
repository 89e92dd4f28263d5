"""How Sphinx builds the documentation: `nox -s docs`."""

from __future__ import annotations

import tomllib
from pathlib import Path

import django
from django.conf import settings

ROOT = Path(__file__).resolve().parent.parent

project = "cacheops"
author = "The cacheops authors"
copyright = "2026, The cacheops authors"
release = tomllib.loads((ROOT / "packages/cacheops-core/pyproject.toml").read_text())["project"]["version"]

# The reference is read from the modules, which Django has to be set up for.
settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "cacheops"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    CACHEOPS_REDIS="redis://localhost",
)
django.setup()

extensions = ["myst_parser", "sphinx.ext.autodoc"]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
default_role = "code"
# Types of other projects are named in signatures, and not linked.
nitpick_ignore_regex = [("py:class", ".*")]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "requirements.txt"]
html_theme = "furo"
html_title = f"cacheops {release}"
