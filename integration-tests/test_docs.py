"""The examples of the documentation run as they stand, page by page."""

import pytest
from doc_pages import run_page
from processes import Company


@pytest.mark.one_database
def test_the_page_on_queries_runs(project: Company) -> None:
    assert project.actor().do(run_page, "queries.md") > 8
