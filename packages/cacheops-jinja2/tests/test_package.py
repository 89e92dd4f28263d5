"""What the package says of itself: its version, its names, and what it does without."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest

import cacheops_jinja2


def test_the_module_says_the_version_that_was_installed():
    assert cacheops_jinja2.__version__ == version("cacheops-jinja2")


@pytest.mark.parametrize("other", ["django", "redis"])
def test_importing_it_loads_neither_a_framework_nor_a_client(other):
    code = f"import sys, cacheops_jinja2; print({other!r} in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"


@pytest.mark.parametrize("name", cacheops_jinja2.__all__)
def test_each_name_can_be_imported(name):
    assert hasattr(cacheops_jinja2, name)
