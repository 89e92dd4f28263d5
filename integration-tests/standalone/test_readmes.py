"""What the READMEs of the distributions that stand alone show runs, and prints what they say.

A program that needs more than its distribution says so behind the word python: ```` ```python sqlalchemy ````.
"""

import re
from pathlib import Path
from typing import Any

import pytest

PACKAGES = Path(__file__).parents[2] / "packages"
OURS = {
    "cacheops-core": ("cacheops-core[embedded]",),
    "cacheops-filecache": ("cacheops-core", "cacheops-filecache"),
}

PROGRAM = re.compile(r"^```python([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PRINTED = re.compile(r"^ *print\(.*\)  # (.+)$", re.MULTILINE)
"""A line that prints, and the comment that says what; where it is several lines "one, then another"."""


def programs() -> list[Any]:
    """Return each program with its distribution and what else it needs, named by its place."""
    found = []
    for name in OURS:
        text = (PACKAGES / name / "README.md").read_text(encoding="utf-8")
        for match in PROGRAM.finditer(text):
            line = text[: match.start()].count("\n") + 1
            found.append(pytest.param(name, match[1].split(), match[2], id=f"{name}, line {line}"))
    return found


@pytest.mark.parametrize("name, needs, program", programs())
def test_a_program_prints_what_it_says(install: Any, name: str, needs: list[str], program: str) -> None:
    said = [line for comment in PRINTED.findall(program) for line in comment.split(", then ")]
    assert said
    assert install(*OURS[name], *needs).run(program).splitlines() == said


INSTALLED = """
from importlib.metadata import distributions
print(*sorted(found.name.lower() for found in distributions() if found.name.startswith("cacheops")))
"""


@pytest.mark.parametrize("name", OURS)
def test_nothing_else_of_ours_is_there(install: Any, name: str) -> None:
    there = {requirement.partition("[")[0] for requirement in OURS[name]}
    assert install(*OURS[name]).run(INSTALLED).split() == sorted(there)


def test_a_script_of_15_lines_needs_no_client_of_any_server(install: Any) -> None:
    first = next(param.values[2] for param in programs() if param.values[0] == "cacheops-filecache")
    assert len([line for line in first.splitlines() if line]) <= 15
    program = first + "\nimport sys\nassert not {'redis', 'django', 'asyncio'} & set(sys.modules)\n"
    install(*OURS["cacheops-filecache"]).run(program)
