"""Running the examples on a page of the documentation."""

import re
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"


def run_page(page: str) -> int:
    """Run the Python blocks of a page in order, in one namespace, and return how many there were."""
    text = (DOCS / page).read_text(encoding="utf-8")
    blocks = list(re.finditer(r"^```python\n(.*?)^```$", text, re.M | re.S))
    names: dict[str, object] = {}
    for block in blocks:
        # As many empty lines in front as the page has, so that an error names its line.
        lines = text[: block.start(1)].count("\n")
        exec(compile("\n" * lines + block[1], str(DOCS / page), "exec"), names)
    return len(blocks)
