"""How Sphinx builds the documentation: `nox -s docs`."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

project = "cacheops"
author = "The cacheops authors"
copyright = "2026, The cacheops authors"
release = tomllib.loads((ROOT / "packages/cacheops-core/pyproject.toml").read_text())["project"]["version"]

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "requirements.txt"]
html_theme = "furo"
html_title = f"cacheops {release}"
