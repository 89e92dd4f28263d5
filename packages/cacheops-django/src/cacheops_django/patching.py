"""Setting attributes on Django's classes, and setting them back: nothing else in the package does."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

ABSENT: Any = object()
"""Stands for an attribute that a class did not have of its own."""


@dataclass(slots=True)
class Patch:
    """One attribute of one class or module, replaced until it is undone."""

    owner: Any
    name: str
    value: Any
    """What the attribute becomes."""
    was: Any = field(default=ABSENT, init=False)

    def apply(self) -> None:
        """Replace the attribute."""
        self.was = vars(self.owner).get(self.name, ABSENT)
        setattr(self.owner, self.name, self.value)

    def undo(self) -> None:
        """Put back what was there; an attribute that was inherited is inherited again."""
        if self.was is ABSENT:
            delattr(self.owner, self.name)
        else:
            setattr(self.owner, self.name, self.was)


def add(owner: Any, name: str, value: Any) -> Patch:
    """Return a patch that gives a class a method which it does not have."""
    return Patch(owner, name, value)


def around(owner: Any, name: str, wrapper: Callable[..., Any]) -> Patch:
    """Return a patch that calls ``wrapper(original, ...)`` in place of a function."""
    original = getattr(owner, name)

    @wraps(original)
    def patched(*args: Any, **kwargs: Any) -> Any:
        return wrapper(original, *args, **kwargs)

    return Patch(owner, name, patched)


def apply_all(patches: Iterable[Patch]) -> list[Patch]:
    """Apply patches in order and return them."""
    applied = []
    for patch in patches:
        patch.apply()
        applied.append(patch)
    return applied


def undo_all(patches: list[Patch]) -> None:
    """Undo patches, the last one first."""
    while patches:
        patches.pop().undo()
