"""Running the examples on a page of the documentation."""

import re
from pathlib import Path
from typing import Any
from unittest import TestResult, TestSuite, defaultTestLoader

DOCS = Path(__file__).parent.parent / "docs"


def run_page(page: str) -> int:
    """Run the Python blocks of a page in order, in one namespace, and return how many there were."""
    return _run(page)[0]


def run_tests_of(page: str) -> int:
    """Run the tests that stand on a page, and return how many there were."""
    from cacheops.testing import assert_cache_hits, isolated

    _, names = _run(page)
    cases = [one for one in names.values() if isinstance(one, type) and one.__module__ == "__main__"]
    suite = TestSuite(map(defaultTestLoader.loadTestsFromTestCase, cases))
    result = suite.run(TestResult())
    assert result.wasSuccessful(), result.errors + result.failures
    functions = [one for name, one in names.items() if name.startswith("test_")]
    for function in functions:
        with isolated():
            function(None, assert_cache_hits)
    return result.testsRun + len(functions)


def _run(page: str) -> tuple[int, dict[str, Any]]:
    text = (DOCS / page).read_text(encoding="utf-8")
    blocks = list(re.finditer(r"^```python\n(.*?)^```$", text, re.M | re.S))
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks:
        # As many empty lines in front as the page has, so that an error names its line.
        lines = text[: block.start(1)].count("\n")
        exec(compile("\n" * lines + block[1], str(DOCS / page), "exec"), names)
    return len(blocks), names
