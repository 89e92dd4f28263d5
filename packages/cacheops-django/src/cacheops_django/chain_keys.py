"""From what a queryset has been asked to the key of the answer, without its query.

Questions that have the same chain but for its values have keys that differ in these values only, and so do their
dependencies. That is not taken for granted: of each chain, and for each thing that is asked of it, the first question
is asked twice more, with values of ours, in the slow way, which builds the query and looks at all of it. If key and
dependencies of the three are one *template* with the values filled in, byte for byte, it serves from there on.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from uuid import UUID

from django.db import connections
from django.utils import timezone

from cacheops_core.conditions import Conjunction, Dependencies, Token, token

from . import rows
from .chains import Chain, Place, with_values
from .fingerprint_values import dump, encode

Values: TypeAlias = tuple[Any, ...]
Asking: TypeAlias = Callable[[Any], tuple[bytes, Dependencies]]
"""Returns key and dependencies of a queryset in the slow way, or raises why there are none."""

TRIED: dict[type, tuple[Callable[[int], Any], Callable[[int], Any]]] = {
    int: (lambda place: 23_767 - place, lambda place: 30_011 - place),
    str: (
        lambda place: f"\N{SNOWMAN} tried by cacheops {place}",
        lambda place: f"\N{COMET} tried by cacheops, too {place}",
    ),
    UUID: (lambda place: UUID(int=(0x5F1D << 112) + place), lambda place: UUID(int=(0xA3B0 << 112) + place)),
}
"""Values of each type for each place: they fit any column of it, and stand in no query by accident."""

ZONES = (datetime.timezone(datetime.timedelta(hours=5)), datetime.timezone(datetime.timedelta(hours=-7)))
"""Time zones that are active while questions are tried."""

MOST_VALUES = 1_000
"""Of each template."""

MOST_ANSWERS = 100
"""Things that are asked of one chain."""


@dataclass(slots=True, eq=False)
class Template:
    """Keys and dependencies of what is asked of one chain, for any values."""

    parts: tuple[bytes, ...]
    """What stands before, between and after the values in a key."""
    order: tuple[int, ...]
    """Which value stands where."""
    found: Dependencies
    """What the question with the values that were tried depends on."""
    tried: tuple[Token, ...]
    bounds: tuple[tuple[int, int] | None, ...]
    """Between which integers the database takes a value for one of the column's."""
    filled: Callable[[Dependencies], Any]
    """Returns what is known of a question from what it depends on."""
    known: dict[Values, tuple[bytes, Any]] = field(default_factory=dict)
    """What has been worked out by values."""

    def answer(self, values: Values) -> tuple[bytes, Any] | None:
        """Return the key for these values, and what is known of their question; None for what is out of bounds."""
        answer = self.known.get(values)
        if answer is None:
            for bounds, value in zip(self.bounds, values, strict=True):
                if bounds is not None and not bounds[0] <= value <= bounds[1]:
                    return None
            if len(self.known) >= MOST_VALUES:
                self.known.clear()
            answer = self.known[values] = self.key(values), self.filled(self.dependencies(values))
        return answer

    def key(self, values: Values) -> bytes:
        """Return the key that the slow way makes."""
        found = [self.parts[0]]
        for place, part in zip(self.order, self.parts[1:], strict=True):
            found += (dump(encode(values[place])), part)
        return b"".join(found)

    def dependencies(self, values: Values) -> Dependencies:
        """Return what the slow way finds."""
        return substituted(self.found, dict(zip(self.tried, map(token, values), strict=True)))


def known(chain: Chain, asked: Hashable, using: str) -> tuple[bytes, Any] | None:
    """Return the key of what is asked, and what is known of it; None if the slow way has to tell."""
    template: Template | None = chain.node.answers.get((asked, using))
    return None if template is None else template.answer(chain.values)


def learn(
    queryset: Any,
    chain: Chain,
    asked: Hashable,
    using: str,
    answer: tuple[bytes, Dependencies],
    filled: Callable[[Dependencies], Any],
    ask: Asking,
) -> None:
    """Find out how the key of what is asked is made, from the ``answer`` that the slow way has given to it."""
    answers = chain.node.answers
    if (
        (asked, using) not in answers
        and len(answers) < MOST_ANSWERS
        and connections[using].vendor in rows.VENDORS
    ):
        # Until it is found out, and for good if it is not, the slow way tells.
        answers[asked, using] = None
        answers[asked, using] = _template(queryset, chain, using, answer, filled, ask)


def _template(
    queryset: Any,
    chain: Chain,
    using: str,
    answer: tuple[bytes, Dependencies],
    filled: Callable[[Dependencies], Any],
    ask: Asking,
) -> Template | None:
    one, other = (
        tuple(TRIED[type(value)][turn](place) for place, value in enumerate(chain.values)) for turn in (0, 1)
    )
    try:
        # What is cut out of moments is another thing in another zone, which the key then tells. Of that there is no
        # template: an answer would be served in a zone that it is not for.
        with timezone.override(ZONES[0]):
            key, found = ask(with_values(queryset, chain, one))
        with timezone.override(ZONES[1]):
            again = ask(with_values(queryset, chain, other))
    except Exception:
        # Whatever is wrong with them, nobody has asked for these values.
        return None
    split = _split(key, [dump(encode(value)) for value in one])
    if split is None or _is_twofold(found):
        return None
    bounds = tuple(_bounds(place, using) for place in chain.node.places)
    template = Template(*split, found, tuple(map(token, one)), bounds, filled)
    is_right = all(
        (template.key(values), template.dependencies(values)) == asked
        for values, asked in ((one, (key, found)), (other, again), (chain.values, answer))
    )
    return template if is_right else None


def _split(key: bytes, dumped: Sequence[bytes]) -> tuple[tuple[bytes, ...], tuple[int, ...]] | None:
    """Return a key's parts around the values, and the order in which these stand in it."""
    if any(key.count(value) != 1 for value in dumped):
        return None
    order = sorted(range(len(dumped)), key=lambda place: key.index(dumped[place]))
    parts = []
    for place in order:
        before, _, key = key.partition(dumped[place])
        parts.append(before)
    return (*parts, key), tuple(order)


def _is_twofold(found: Dependencies) -> bool:
    """Tell whether a column has two conditions at once, which would be one if their values were equal."""
    return any(
        len(dict(conjunction)) < len(conjunction)
        for _, conjunctions in found.tables
        for conjunction in conjunctions
    )


def _bounds(place: Place, using: str) -> tuple[int, int] | None:
    if place.type_of_integer is None:
        return None
    low, high = connections[using].ops.integer_field_range(place.type_of_integer)
    return -(2**63) if low is None else low, 2**63 - 1 if high is None else high


def substituted(found: Dependencies, tokens: dict[Token, Token]) -> Dependencies:
    """Return dependencies with other values in the place of some."""
    tables: dict[str, set[Conjunction]] = {
        table: {
            tuple((name, tokens.get(value, value)) for name, value in conjunction)
            for conjunction in conjunctions
        }
        for table, conjunctions in found.tables
    }
    return Dependencies.of(tables)
