"""Set Django up for the tests of this package."""

import os
import sys
from pathlib import Path

import django


def pytest_configure() -> None:
    """Have Django ready before test modules import models, wherever pytest was started."""
    here = str(Path(__file__).parent)
    if here not in sys.path:
        sys.path.insert(0, here)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
    django.setup()
