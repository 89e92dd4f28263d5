"""What is wrong with the settings, found in one pass: listed by system checks, raised at run time."""

import difflib
import reprlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from django.core.exceptions import ImproperlyConfigured

from cacheops_core.errors import ConfigurationError

__all__ = ["NoProfile", "Problem", "Problems", "SettingsError", "nearest", "shown"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in the settings."""

    id: str
    """Stable, so that SILENCED_SYSTEM_CHECKS can name it: E and a number for an error, W for a warning."""

    message: str
    """Which setting and key, and the value that stands there."""

    hint: str
    """What to write instead."""

    @property
    def is_error(self) -> bool:
        """Whether cacheops cannot work with the settings as they are."""
        return self.id.startswith("E")

    def __str__(self) -> str:
        return f"{self.message}. {self.hint} (cacheops.{self.id})"


class SettingsError(ConfigurationError, ImproperlyConfigured):
    """The settings have mistakes that the system checks would have told; it carries all of them."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class NoProfile(ConfigurationError, ImproperlyConfigured):
    """A model is to be cached for which ``CACHEOPS`` has no profile."""


class Problems(list[Problem]):
    """A list of mistakes that readers of single values add theirs to, instead of stopping at the first."""

    def add(self, id: str, message: str, hint: str) -> None:
        """Note one mistake."""
        self.append(Problem(id, message, hint))

    def attempt(self, id: str, hint: str, read: Callable[..., T], *args: Any) -> T | None:
        """Return what `read` returns for the arguments; where it raises, note that under `id`."""
        try:
            return read(*args)
        except ConfigurationError as error:
            self.add(id, str(error), hint)
            return None


def nearest(word: object, known: Iterable[str]) -> str:
    """Return 'Did you mean "...?" ' for the known word that is nearest, or nothing if none is near."""
    found = difflib.get_close_matches(str(word), list(known), n=1)
    return f'Did you mean "{found[0]}"? ' if found else ""


def shown(value: object) -> str:
    """Return the value as a message shows it: a short line, however much there is."""
    return reprlib.repr(value)
