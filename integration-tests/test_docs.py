"""The examples of the documentation run as they stand, page by page."""

import pytest
from doc_pages import run_page, run_tests_of
from processes import Company


@pytest.mark.one_database
def test_the_page_on_queries_runs(project: Company) -> None:
    assert project.actor().do(run_page, "queries.md") > 8


@pytest.mark.one_database
def test_the_tests_on_the_page_on_testing_pass(project: Company) -> None:
    assert project.actor().do(run_tests_of, "testing.md") == 2
