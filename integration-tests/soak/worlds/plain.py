"""Rows that move between places, without Django: a program that has a database and `cacheops_core.Cache`."""

import json
import os
import random
from typing import Any

from processes import Environment

from cacheops_core import Cache
from soak.judge import Check
from soak.ledger import View
from soak.players import Player
from soak.worlds import readers
from soak.worlds.plain_database import Database

_caches: list[Any] = []


def begin(environ: Environment, kind: Any = Cache) -> None:
    """Make this process one that has the database and the cache that the project would have."""
    os.environ.update(environ)
    settings = json.loads(environ["PROJECT_SETTINGS"])
    degrade = settings.get("CACHEOPS_DEGRADE_ON_FAILURE", False)
    _caches.append(kind(settings["CACHEOPS_REDIS"], prefix="plain:", timeout=600.0, degrade=degrade))


def caches() -> list[Any]:
    return list(_caches)


def fill(rows: int, places: int) -> list[int]:
    """Make the rows, and return the place of each."""
    found = [row % places for row in range(rows)]
    Database().fill(found)
    return found


class Writer:
    """Moves rows to other places, one or several in a transaction."""

    def __init__(self, player: Player) -> None:
        self.player, self.number, self.ledger = player, player.part.number, player.part.ledger
        self.random = random.Random(f"{player.part.plan.seed} writer {self.number}")
        self.database, (self.cache,) = Database(), _caches

    def write(self) -> None:
        """Do one of the things."""
        ways = self.player.scenario.writes
        way = self.random.choices(list(ways), list(ways.values()))[0]
        WAYS[way](self)
        self.player.counts.add("writes")
        self.player.counts.add(way)

    def move(self) -> None:
        self._move(1)

    def move_several(self) -> None:
        self._move(5)

    def _move(self, number: int) -> None:
        with self.database.transaction() as commit:
            moves = self.moves(number)
            with self.cache.writing(*changes(moves)):
                commit()
        self.publish(moves)

    def moves(self, number: int) -> list[tuple[int, int, int, int]]:
        """Move rows within the open transaction, and return of each the old place, the new one and the version."""
        made = []
        for row in sorted(self.random.sample(range(self.ledger.rows), number)):
            version, old = self.database.lock(row)
            place = self.random.randrange(self.ledger.places)
            self.ledger.begin(row, version + 1)
            self.database.move(row, version + 1, place)
            made.append((row, old, place, version + 1))
        return made

    def publish(self, moves: list[tuple[int, int, int, int]]) -> None:
        """Note that a write has returned."""
        for row, _, place, version in moves:
            self.ledger.publish(self.number, row, version, place)


def changes(moves: list[tuple[int, int, int, int]]) -> list[tuple[str, dict[str, int]]]:
    """Return the old and the new values of rows that have been moved."""
    return [("item", {"id": row, "place": place}) for row, old, new, _ in moves for place in (old, new)]


WAYS = {"move": Writer.move, "move several": Writer.move_several}


class Reader(readers.Reader):
    """Asks by `get_or_compute`, and by functions that are kept."""

    def __init__(self, player: Player) -> None:
        super().__init__(player)
        self.database, (self.cache,) = Database(), _caches
        self.total_of = self.cache.cached_as("item", lock=True)(self.database.total)

    def view_of_database(self) -> View:
        return View.of_database(self.database.everything())

    def get(self, row: int) -> Check:
        version, place = self._ask(("get", row), {"item": [{"id": row}]}, lambda: self.database.row(row))
        return lambda view: view.row(row, version, place)

    def listing(self, place: int) -> Check:
        found = self._ask(("list", place), {"item": [{"place": place}]}, lambda: self.database.listing(place))
        return lambda view: view.listing(place, found)

    def alone(self, place: int) -> Check:
        found = self._ask(
            ("alone", place), {"item": [{"place": place}]}, lambda: self.database.listing(place), lock=True
        )
        return lambda view: view.listing(place, found)

    def total(self, place: int) -> Check:
        total = self.total_of(place)
        return lambda view: view.total(place, total)

    def _ask(self, key: Any, dependencies: Any, compute: Any, **options: Any) -> Any:
        asked: list[None] = []
        value = self.cache.get_or_compute(
            key, dependencies, lambda: asked.append(None) or compute(), **options
        )
        self.note(not asked)
        return value

    ways = {
        "get": ("row", get),
        "list": ("place", listing),
        "one computes": ("place", alone),
        "function of all": ("place", total),
    }
