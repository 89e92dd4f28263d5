"""Whether an answer is stale, and if so, whether it is within the bound that is promised."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from soak.ledger import Ledger, View
from soak.tally import LATEST, Counts

Check = Callable[[View], str | None]
"""An answer that waits to be checked: says what is wrong with it, given what had returned before it was asked for."""


@dataclass(frozen=True, slots=True)
class Look:
    """What had returned at one moment."""

    moment: float
    view: View


class Judge:
    """One reader's. With a ``lag``, an answer may be older than what returned in so many seconds before the read."""

    def __init__(self, ledger: Ledger, counts: Counts, lag: float) -> None:
        self._ledger, self._counts, self._lag = ledger, counts, lag
        self._looks: deque[Look] = deque()

    def look(self) -> Look:
        """Look at the ledger, before a read."""
        # The time first: what returns in between is asked for, though it need not be.
        look = Look(time.monotonic(), self._ledger.look())
        if self._lag:
            self._looks.append(look)
            # The oldest one that is kept is always the newest of those that are too old to be excused by the lag.
            while len(self._looks) > 1 and self._looks[1].moment <= look.moment - self._lag:
                self._looks.popleft()
        return look

    def check(self, look: Look, way: str, check: Check) -> None:
        """Count an answer that has come after a look."""
        self._counts.add("reads")
        self._counts.add(way)
        if wrong := check(look.view):
            self._find(look, f"{way}: {wrong}", check)

    def settle(self, view: View, way: str, check: Check) -> None:
        """Count an answer that has been given when all was quiet, and so has to be what the database said."""
        self._counts.add("reads")
        if wrong := check(view):
            self._counts.add("stale")
            self._counts.tell(f"after all was quiet, {way}: {wrong}")

    def _find(self, look: Look, wrong: str, check: Check) -> None:
        after = self._ledger.excuse(look.moment)
        if after is not None:
            self._counts.raise_to(LATEST, round(after * 1000))
            self._counts.add("within bound")
        elif self._lag and self._is_within_lag(look.moment, check):
            self._counts.add("within bound")
        else:
            self._counts.add("stale")
            self._counts.tell(f"a read that began at {look.moment:.3f}, {wrong}")

    def _is_within_lag(self, began: float, check: Check) -> bool:
        known = [look for look in self._looks if look.moment <= began - self._lag]
        # Who has just begun does not know yet what had returned by then.
        return not known or not check(known[-1].view)
