"""Tables, conditions, times and sizes as people say them."""

import pytest

from cacheops_core.conditions import Dependencies
from cacheops_django.words import dependencies, duration, rows, size


@pytest.mark.parametrize(
    "table, conjunction, said",
    [
        ("testapp_post", (), "any of the posts"),
        ("testapp_post", (("category_id", "7"),), "posts whose category is 7"),
        ("testapp_post", (("editor_id", None),), "posts whose editor is empty"),
        ("testapp_post", (("category_id", "7"), ("id", "3"), ("views", "1")),
         "posts whose category is 7, ID is 3 and views is 1"),
        ("old_Legacy-table", (("Legacy Code", "x" * 100),), f"legacys whose code is {'x' * 59}…"),
        ("elsewhere", (("page", "1"),), "rows of elsewhere whose page is 1"),
        ("elsewhere", (), "any of the rows of elsewhere"),
    ],
)  # fmt: skip
def test_rows(table: str, conjunction: tuple[tuple[str, str | None], ...], said: str):
    assert rows(table, conjunction) == said


def test_dependencies_are_a_line_for_each_condition():
    found = Dependencies.coerce({"testapp_post": [{"views": 1}, {"views": 2}], "testapp_tag": []})
    assert dependencies(found) == ["posts whose views is 1", "posts whose views is 2", "any of the tags"]


@pytest.mark.parametrize(
    "seconds, said",
    [
        (0.00012, "0.1 ms"), (0.5, "500 ms"), (1, "1 s"), (61, "1 min 1 s"), (600, "10 min"),
        (3600, "1 h"), (3725, "1 h 2 min"), (90_000, "1 d 1 h"), (86_400, "1 d"), (59.9, "1 min"),
    ],
)  # fmt: skip
def test_times(seconds: float, said: str):
    assert duration(seconds) == said


@pytest.mark.parametrize(
    "number, said",
    [(7, "7 bytes"), (1234, "1,234 bytes"), (56_700, "56.7 kB"), (5.6e6, "5.6 MB"), (7e9, "7.0 GB")],
)
def test_sizes(number: float, said: str):
    assert size(number) == said
