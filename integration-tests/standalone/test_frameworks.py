"""The core beside frameworks that know nothing of it: their transactions, their event loops."""

from pathlib import Path
from typing import Any

import pytest

PROGRAMS = Path(__file__).with_name("programs")
NEEDS = {"with_sqlalchemy.py": ["sqlalchemy"], "with_starlette.py": ["starlette", "httpx2"]}


@pytest.mark.parametrize("name", NEEDS)
def test_readers_and_writers_in_each_others_way_see_nothing_stale(install: Any, name: str) -> None:
    program = (PROGRAMS / name).read_text(encoding="utf-8")
    assert install("cacheops-core[embedded]", *NEEDS[name]).run(program) == "nothing stale\n"
