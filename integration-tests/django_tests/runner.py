"""Django's test runner, noting what comes of each test, with each cached read done twice where there is a cache."""

import os
import unittest
from typing import Any

from django.apps import apps
from django.test.runner import DiscoverRunner

from django_tests.reports import OURS, PASSED

READS_TO_LEARN = 1
"""Reads of a kind, besides the first, after which a miss goes the short way: by SQL that is known."""


class Result(unittest.TextTestResult):
    """Notes outcomes in this process's report."""

    def startTest(self, test: Any) -> None:  # noqa: N802  # unittest's names
        OURS.test = test.id()
        super().startTest(test)

    def addSuccess(self, test: Any) -> None:  # noqa: N802
        super().addSuccess(test)
        OURS.note(test.id(), PASSED)

    def addSkip(self, test: Any, reason: str) -> None:  # noqa: N802
        super().addSkip(test, reason)
        # Of a subtest, whose name may differ from run to run, its test is noted.
        OURS.note(getattr(test, "test_case", test).id(), "skipped")

    def addExpectedFailure(self, test: Any, err: Any) -> None:  # noqa: N802
        super().addExpectedFailure(test, err)
        OURS.note(test.id(), "failed as expected")

    def addUnexpectedSuccess(self, test: Any) -> None:  # noqa: N802
        super().addUnexpectedSuccess(test)
        OURS.note(test.id(), "passed unexpectedly")

    def addFailure(self, test: Any, err: Any) -> None:  # noqa: N802
        super().addFailure(test, err)
        OURS.note(test.id(), "failed", self._exc_info_to_string(err, test))

    def addError(self, test: Any, err: Any) -> None:  # noqa: N802
        super().addError(test, err)
        OURS.note(test.id(), "error", self._exc_info_to_string(err, test))

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:  # noqa: N802
        super().addSubTest(test, subtest, err)
        if err is not None:
            outcome = "failed" if issubclass(err[0], test.failureException) else "error"
            OURS.note(test.id(), outcome, self._exc_info_to_string(err, test))


class Runner(DiscoverRunner):
    """Runs tests and notes what comes of them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # Here Django is set up, and no test has been imported yet.
        if apps.is_installed("cacheops_django"):
            from cacheops_django.invalidation import invalidate_all
            from cacheops_django.patching import apply_all
            from django_tests import comparing, queries, reading

            # The module before may have had tables of the same names.
            invalidate_all()
            apply_all(queries.patches())
            apply_all(reading.patches())
            is_missing = "DJANGO_TESTS_MISS" in os.environ
            comparing.begin(more_reads=READS_TO_LEARN if is_missing else 0)
            if is_missing:
                apply_all(reading.misses())
        super().__init__(*args, **kwargs)

    def get_resultclass(self) -> type[Result]:
        """Return what notes outcomes."""
        return Result
