"""One module's tests, in a process that ``process`` has started in their folder.

Nothing of Django's is edited: its ``runtests`` is imported, and its function called that the command line would call.
"""

import argparse
import inspect
from pathlib import Path
from typing import Any

import runtests

from django_tests.reports import OURS

GIVEN = {"verbosity": 1, "parallel": 1, "shuffle": False}
"""Arguments of Django's whose value is not None, where no option is given."""


def main() -> None:
    """Run what the command line names, and save the report."""
    parser = argparse.ArgumentParser(prog="suite")
    parser.add_argument("label")
    parser.add_argument("report", type=Path)
    parser.add_argument("--cached", action="store_true")
    options = parser.parse_args()
    if options.cached:
        runtests.ALWAYS_INSTALLED_APPS.append("cacheops_django")
    given: dict[str, Any] = {**GIVEN, "test_labels": [options.label]}
    # Versions of Django differ in what they can be told.
    wanted = inspect.signature(runtests.django_tests).parameters
    runtests.django_tests(**{name: given.get(name) for name in wanted})
    OURS.save(options.report)


if __name__ == "__main__":
    main()
