"""What `explain` finds out: values to look at, which read as sentences when they are printed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .words import duration, size

__all__ = ["DependsOn", "Explanation"]


_TIME = ("nothing but time",)


@dataclass(frozen=True, slots=True, kw_only=True)
class DependsOn:
    """Rows that a result depends on."""

    words: str
    """Such as "products whose category is 7"."""
    key: str
    """The key of their stamp."""
    age: float | None
    """Seconds since the stamp was made: for as long as that at least, none of these rows has changed. None if there
    is no stamp."""
    is_being_written: bool = False
    """Whether a transaction that changes them is committing right now."""

    def __str__(self) -> str:
        if self.age is not None:
            return f"{self.words} (unchanged for {duration(max(self.age, 0))})"
        return f"{self.words} ({'being written' if self.is_being_written else 'no stamp'})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What the cache would do if somebody asked now."""

    asked: str
    """What is asked: "count of shop.Product"."""
    outcome: Literal["hit", "miss", "never"]
    """Whether the answer is there, or is not, or is never cached."""
    because: str
    """Why that is so."""
    remedy: str = ""
    """What to change, where something can be."""
    query: str = ""
    """The SQL without its values, or the name of the function."""
    key: str | None = None
    """The key of the entry; None if there is none."""
    depends_on: tuple[DependsOn, ...] = ()
    """What drops the result."""
    timeout: float | None = None
    """Seconds for which a result is stored; None for as long as nothing drops it."""
    size: int | None = None
    """Bytes of what is stored, be it valid or not; None if nothing is."""
    expires_in: float | None = None
    """Seconds until what is stored ends by itself; None if it does not, or if nothing is stored."""

    def __str__(self) -> str:
        title = {"hit": "a hit", "miss": "a miss", "never": "not cached"}[self.outcome]
        lines = [f"{self.asked}: {title}", *self._line("because", self.because)]
        lines += self._line("to do", self.remedy) + self._line("query", self.query)
        if self.key is not None:
            lines += self._line("key", self.key)
            lines += self._line("depends on", *(map(str, self.depends_on) if self.depends_on else _TIME))
            lines += self._line("kept for", "ever" if self.timeout is None else duration(self.timeout))
        if self.size is not None:
            left = "" if self.expires_in is None else f", for another {duration(self.expires_in)}"
            lines += self._line("stored", f"{size(self.size)}{left}")
        return "\n".join(lines)

    @staticmethod
    def _line(title: str, *values: str) -> list[str]:
        return [f"  {title if not index else '':<11}{value}" for index, value in enumerate(values) if value]
