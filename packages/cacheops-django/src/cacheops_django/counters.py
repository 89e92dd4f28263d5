"""Counts what the cache does in this process: by model, op and query, at a price that nobody feels.

What is asked again and again has one `Tally`, found together with what else is known of the query, so that a hit adds
one to an integer. (Threads may lose a count to one another where Python lets them run at once. Nothing depends on it.)

How much time hits save is an estimate: each saves what an answer has taken to compute on average by then. It is worked
out when somebody asks for it, and at each miss, whose own time changes the average from there on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from cacheops_core.forks import module_lock
from cacheops_core.units import Change

from . import tables
from .reasons import bypasses

__all__ = ["Counts", "Tally", "collect", "dropped", "dropped_everything", "reset", "tallies", "tally_of"]

MOST_TALLIES = 1000
"""Queries and functions that are told apart; further ones are counted together, for each model and op."""

Counts = dict[tuple[str, str, str], int]
"""Numbers by model, op and what is counted. Models are labels, empty for what depends on none; times are in
microseconds."""

wakers: list[Callable[[], None]] = []
"""Called when something has been counted that took its time anyway: a miss, or a drop."""

_lock = module_lock()


class Tally:
    """What has come of asking for one thing: a query whatever its values, or a function whatever its arguments."""

    __slots__ = ("_saved", "_settled", "fills", "hits", "misses", "model", "op", "spent", "what")

    def __init__(self, model: str, op: str, what: str) -> None:
        self.model: str = model
        self.op: str = op
        self.what: str = what
        """The query's text or the function's name; empty if this counts many that are not told apart."""
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        self.hits: int = 0
        self.misses: int = 0
        self.fills: int = 0
        self.spent: float = 0.0
        """Seconds that answers took which the cache did not have."""
        self._saved = 0.0
        self._settled = 0

    def missed(self, seconds: float, *, is_stored: bool) -> None:
        """Count an answer that was computed, in so many seconds."""
        with _lock:
            if self.misses:
                self._saved, self._settled = self.saved, self.hits
            self.misses += 1
            self.fills += is_stored
            self.spent += seconds
        _wake()

    @property
    def saved(self) -> float:
        """Seconds that the hits have saved; it never becomes less."""
        mean = self.spent / self.misses if self.misses else 0.0
        return self._saved + (self.hits - self._settled) * mean

    def numbers(self) -> dict[str, int]:
        """Return what has been counted, by name."""
        return {
            "hits": self.hits,
            "misses": self.misses,
            "fills": self.fills,
            "spent": round(self.spent * 1e6),
            "saved": round(self.saved * 1e6),
        }


_tallies: dict[tuple[str, str, str], Tally] = {}

_drops: Counter[tuple[str, str]] = Counter()
"""How often what depends on a model was dropped: for some of its rows, or for all of them."""


def tally_of(model: str, op: str, what: str) -> Tally:
    """Return the tally of a query or a function, which is the same for all who ask."""
    found = _tallies.get((model, op, what))
    if found is None:
        with _lock:
            if len(_tallies) >= MOST_TALLIES:
                what = ""
            found = _tallies.setdefault((model, op, what), Tally(model, op, what))
    return found


def dropped(changes: Iterable[Change]) -> None:
    """Count what a transaction has dropped: once for each table, however many rows of it have changed."""
    scopes: dict[str, str] = {}
    for change in changes:
        if scopes.get(change.table) != "table":
            scopes[change.table] = "table" if change.row is None else "rows"
    for table, scope in scopes.items():
        models = tables.models_of(table)
        with _lock:
            _drops[models[0]._meta.label if models else table, scope] += 1
    _wake()


def dropped_everything() -> None:
    """Count that everything in the cache was dropped."""
    with _lock:
        _drops["", "all"] += 1


def tallies() -> list[Tally]:
    """Return all tallies there are."""
    return list(_tallies.values())


def collect() -> Counts:
    """Return all that this process has counted, summed up by model and op."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for tally in tallies():
        for name, number in tally.numbers().items():
            counts[tally.model, tally.op, name] += number
    for (model, op, reason), number in list(bypasses.items()):
        counts[model, op, f"bypass:{reason.kind}"] += number
    for (model, scope), number in list(_drops.items()):
        counts[model, "", f"drop:{scope}"] += number
    return dict(counts)


def _wake() -> None:
    for waker in wakers:
        waker()


def reset() -> None:
    """Begin anew."""
    with _lock:
        # They stay where queries have found them.
        for tally in _tallies.values():
            tally.clear()
        _drops.clear()
        bypasses.clear()
