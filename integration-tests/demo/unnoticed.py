"""The demo's race with a writer whose writes the cache never hears of: there must be stale reads, and be counted."""

import sys
from pathlib import Path

import django
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parents[2] / "demo"))

from airports.tour import race

write_noticed = race.write


def write_unnoticed(board: race.Board) -> None:
    django.setup()
    from cacheops import no_invalidation

    with no_invalidation:
        write_noticed(board)


if __name__ == "__main__":
    django.setup()
    race.write = write_unnoticed
    is_right = race.show(Console(), seconds=1)
    sys.exit(not is_right)
