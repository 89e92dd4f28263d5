"""SQL as people read it: without values, quotes and long lists of columns. Queries that differ by values read alike."""

import re

LONGEST = 500
"""Characters that are shown of a query."""

_QUOTES = re.compile(r'["`]')
_COLUMNS = re.compile(r"(?<=SELECT )(DISTINCT )?[\w$]+\.[\w$]+(?:, [\w$]+\.[\w$]+){2,}(?=,| FROM)")
_LISTS = re.compile(r"%s(?:, %s)+")
_NUMBERS = re.compile(r"\b(LIMIT|OFFSET) \d+")


def readable(sql: str) -> str:
    """Return a statement that a compiler made, its parameters as placeholders, as one to be read."""
    text = _COLUMNS.sub(r"\1…", _QUOTES.sub("", sql))
    text = _NUMBERS.sub(r"\1 %s", _LISTS.sub("%s, …", text))
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
