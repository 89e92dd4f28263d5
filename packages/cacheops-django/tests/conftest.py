"""Set Django up for the tests of this package."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def pytest_configure() -> None:
    """Name the settings before pytest-django looks for them, wherever pytest was started."""
    here = str(Path(__file__).parent)
    if here not in sys.path:
        sys.path.insert(0, here)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
