"""The same with `cacheops_core.AsyncCache`: readers and writers are coroutines."""

import asyncio
from typing import Any

from processes import Environment

from cacheops_core import AsyncCache
from soak.judge import Check
from soak.ledger import View
from soak.players import Player
from soak.worlds import plain, readers
from soak.worlds.plain import caches, changes, fill
from soak.worlds.plain_database import Database

__all__ = ["begin", "caches", "fill"]


def begin(environ: Environment) -> None:
    """Make this process one that has the database and the cache that the project would have."""
    plain.begin(environ, AsyncCache)


class Writer(plain.Writer):
    """Commits within ``async with cache.writing(...)``."""

    def __init__(self, player: Player) -> None:
        super().__init__(player)
        self._runner = asyncio.Runner()

    def _move(self, number: int) -> None:
        with self.database.transaction() as commit:
            moves = self.moves(number)
            self._runner.run(self._commit(commit, moves))
        self.publish(moves)

    async def _commit(self, commit: Any, moves: Any) -> None:
        async with self.cache.writing(*changes(moves)):
            commit()


class Reader(readers.AsyncReader):
    """Asks several things at once. The database is asked on the loop: it answers at once."""

    def __init__(self, player: Player) -> None:
        super().__init__(player)
        self.database, (self.cache,) = Database(), caches()

    async def close(self) -> None:
        await self.cache.close()

    def view_of_database(self) -> View:
        return View.of_database(self.database.everything())

    async def get(self, row: int) -> Check:
        version, place = await self._ask(("get", row), {"item": [{"id": row}]}, self.database.row, row)
        return lambda view: view.row(row, version, place)

    async def listing(self, place: int) -> Check:
        found = await self._ask(("list", place), {"item": [{"place": place}]}, self.database.listing, place)
        return lambda view: view.listing(place, found)

    async def alone(self, place: int) -> Check:
        found = await self._ask(
            ("alone", place), {"item": [{"place": place}]}, self.database.listing, place, lock=True
        )
        return lambda view: view.listing(place, found)

    async def total(self, place: int) -> Check:
        total = await self._ask(("total", place), "item", self.database.total, place)
        return lambda view: view.total(place, total)

    async def _ask(self, key: Any, dependencies: Any, ask: Any, number: int, **options: Any) -> Any:
        asked: list[None] = []

        async def compute() -> Any:
            asked.append(None)
            found = ask(number)
            # Others take their turn between the SELECT and the fill.
            await asyncio.sleep(self.random.random() * 0.01)
            return found

        value = await self.cache.get_or_compute(key, dependencies, compute, **options)
        self.note(not asked)
        return value

    ways = {
        "get": ("row", get),
        "list": ("place", listing),
        "one computes": ("place", alone),
        "function of all": ("place", total),
    }
