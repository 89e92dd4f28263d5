"""What readers of all worlds have in common: they choose what is popular more often, ask, and are judged."""

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

from soak.ledger import View
from soak.players import BREATH, Player

AUDITED = 40
"""Of the rows and of the places, so many are asked for once more in the end: the most popular ones."""


class Reader:
    """Reads what is popular more often than the rest, as visitors of a shop do."""

    ways: Mapping[str, tuple[str, Callable[[Any, int], Any]]]
    """What can be asked: of a "row" or of a "place", of which the number is passed; returns a `Check`."""

    def __init__(self, player: Player) -> None:
        self.player = player
        self.ledger = player.part.ledger
        self.random = random.Random(f"{player.part.plan.seed} reader {player.part.number}")

    def play(self) -> None:
        """Read until it is time to look back."""
        while self.player.is_playing():
            self.player.attempt(self.read)

    def read(self) -> None:
        """Ask one thing."""
        way = self.random.choice(self.player.scenario.reads)
        kind, ask = self.ways[way]
        number = self.choose(kind)
        look = self.player.judge.look()
        self.player.judge.check(look, way, ask(self, number))

    def audit(self) -> None:
        """Ask for everything once more, now that nobody writes; the readers share this among them."""
        view = self.view_of_database()
        for way, ask, number in self._audited():
            self.player.attempt(
                lambda way=way, ask=ask, number=number: self.player.judge.settle(view, way, ask(self, number))
            )

    def _audited(self) -> Iterator[tuple[str, Any, int]]:
        part = self.player.part
        for way in self.player.scenario.reads:
            kind, ask = self.ways[way]
            for number in range(min(AUDITED, self._numbers[kind])):
                if number % part.plan.readers == part.number - part.plan.writers:
                    yield way, ask, number

    def note(self, is_hit: bool) -> None:
        """Count where an answer came from."""
        self.player.counts.add("hits" if is_hit else "misses")

    def choose(self, kind: str) -> int:
        """Return the number of a row or of a place."""
        return self.random.choices(range(self._numbers[kind]), self._popularity[kind])[0]

    def view_of_database(self) -> View:
        """Return what holds when nobody writes."""
        raise NotImplementedError

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {"row": self.ledger.rows, "place": self.ledger.places}

    @cached_property
    def _popularity(self) -> dict[str, list[float]]:
        return {kind: [(rank + 1) ** -1.5 for rank in range(n)] for kind, n in self._numbers.items()}


TASKS = 8
"""What an async reader does at the same time."""


class AsyncReader(Reader):
    """The same on an event loop: what asks is a coroutine function."""

    def __init__(self, player: Player) -> None:
        super().__init__(player)
        self._runner = asyncio.Runner()

    def play(self) -> None:
        self._runner.run(self._play())

    def audit(self) -> None:
        self._runner.run(self._audit())
        self._runner.close()

    async def _play(self) -> None:
        await asyncio.gather(*(self._go_on_reading() for _ in range(TASKS)))

    async def _go_on_reading(self) -> None:
        while self.player.is_playing():
            if await self.player.attempt_async(self.read_async):
                await asyncio.sleep(BREATH)

    async def read_async(self) -> None:
        """Ask one thing."""
        way = self.random.choice(self.player.scenario.reads)
        kind, ask = self.ways[way]
        number = self.choose(kind)
        look = self.player.judge.look()
        self.player.judge.check(look, way, await ask(self, number))

    async def _audit(self) -> None:
        view = await asyncio.to_thread(self.view_of_database)
        for way, ask, number in self._audited():

            async def settle(way: str = way, ask: Any = ask, number: int = number) -> None:
                self.player.judge.settle(view, way, await ask(self, number))

            await self.player.attempt_async(settle)
        await self.close()

    async def close(self) -> None:
        """Let go of what belongs to the event loop."""
