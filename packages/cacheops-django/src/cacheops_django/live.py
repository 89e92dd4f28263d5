"""Tables in one place of a terminal, again and again, by rich (which is used where it is installed)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from . import stats

__all__ = ["screen"]


@contextmanager
def screen(console: Console | None = None) -> Iterator[Callable[[list[stats.Table], str], None]]:
    """Give what shows tables, or a text where there are none, until somebody presses Ctrl-C."""
    with suppress(KeyboardInterrupt), Live(console=console, screen=False, auto_refresh=False) as live:
        yield lambda tables, otherwise: live.update(
            Group(
                *(table for one in tables for table in (_table(one), Text())) if tables else [Text(otherwise)]
            ),
            refresh=True,
        )


def _table(table: stats.Table) -> Table:
    drawn = Table(title=table.title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(table.columns):
        is_text = table.is_text(number)
        drawn.add_column(column, justify="left" if is_text else "right", no_wrap=not is_text)
    for row in table.rows:
        # Nothing that was counted is markup.
        drawn.add_row(*map(Text, row))
    return drawn
