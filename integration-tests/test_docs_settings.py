"""What the documentation writes into settings is taken by the checks, and what it declares can be declared."""

from __future__ import annotations

import ast
import os
import re
from types import SimpleNamespace
from typing import Any

import pytest
from django.core import checks
from django.core.cache import caches
from django.test import override_settings
from django.test.utils import isolate_apps
from doc_pages import DOCS

SERVERS = ("CACHEOPS_REDIS", "CACHEOPS_SENTINEL", "CACHEOPS_CLUSTER")


def blocks(page: str) -> list[str]:
    """Return the Python examples of a page."""
    return re.findall(r"^```python\n(.*?)^```$", (DOCS / page).read_text(encoding="utf-8"), re.M | re.S)


def assignments() -> list[tuple[str, str]]:
    """Return the settings that the page shows, each with its value as it is written."""
    return [
        (ast.unparse(node.targets[0]), ast.unparse(node.value))
        for block in blocks("settings.md")
        for node in ast.parse(block).body
        if isinstance(node, ast.Assign)
    ]


def value_of(text: str) -> Any:
    return eval(text, {"os": os})


@pytest.mark.parametrize("name, text", assignments())
def test_settings_are_as_the_page_writes_them(name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHEOPS_SIGNING_KEY", "a key that is long enough to sign with")
    # There is one server.
    others: dict[str, Any] = dict.fromkeys(SERVERS) if name in SERVERS else {}
    with override_settings(**{**others, name: value_of(text)}):
        if name == "CACHES":
            assert caches["default"].key_prefix == ""
        # This project has neither the apps of the page nor its databases.
        found = [one for one in checks.run_checks(tags=["cacheops"]) if one.id != "cacheops.W031"]
        assert [one for one in found if "is not in DATABASES" not in one.msg] == []


def test_the_page_on_types_declares_a_model() -> None:
    [block] = blocks("typing.md")
    names: dict[str, Any] = {"__name__": "project.shop.declared"}
    with isolate_apps("project.shop"):
        exec(block, names)
    assert names["Product"].objects.model is names["Product"]


def test_the_page_of_questions_names_tenants_by_their_schema() -> None:
    [block] = blocks("faq.md")
    names: dict[str, Any] = {"connection": SimpleNamespace(schema_name="north")}
    exec(block, names)
    assert names["by_schema"](None) == "north:"
