"""Running a page of the documentation as one module, in which its classes and template tags can be found by name."""

import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

from django.test import override_settings

DOCS = Path(__file__).parent.parent / "docs"


def run_as_module(page: str) -> int:
    """Run the Python blocks of a page in order, and return how many there were."""
    text = (DOCS / page).read_text(encoding="utf-8")
    blocks = list(re.finditer(r"^```python\n(.*?)^```$", text, re.M | re.S))
    module = ModuleType(page.removesuffix(".md").replace("-", "_"))
    sys.modules[module.__name__] = module
    with (
        TemporaryDirectory() as folder,
        override_settings(
            ALLOWED_HOSTS=["testserver"],
            FILE_CACHE_DIR=f"{folder}/files",
            TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
        ),
    ):
        for block in blocks:
            # As many empty lines in front as the page has, so that an error names its line.
            lines = text[: block.start(1)].count("\n")
            exec(compile("\n" * lines + block[1], str(DOCS / page), "exec"), vars(module))
    return len(blocks)
