"""The examples on functions, views and templates run as they stand."""

import pytest
from doc_modules import run_as_module
from processes import Company


@pytest.mark.one_database
def test_the_page_on_functions_and_views_runs(project: Company) -> None:
    assert project.actor().do(run_as_module, "functions-and-views.md") == 11


@pytest.mark.one_database
def test_the_page_on_templates_runs(project: Company) -> None:
    assert project.actor().do(run_as_module, "templates.md") == 4
