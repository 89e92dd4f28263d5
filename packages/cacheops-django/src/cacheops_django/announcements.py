"""Telling the project's receivers what has been dropped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import Model

from cacheops_core.conditions import Token
from cacheops_core.units import Change

from . import counters, events, tables
from .signals import cache_invalidated


class ObjectRow(dict[str, Token]):
    """A row's tokens by column, and what receivers are told of it: its model and its values by attribute."""

    __slots__ = ("_names", "_values", "model")

    def __init__(
        self,
        tokens: Mapping[str, Token],
        model: type[Model],
        values: Mapping[str, Any],
        names: Mapping[str, str],
    ) -> None:
        super().__init__(tokens)
        self.model: type[Model] = model
        self._values = values
        self._names = names

    @property
    def attributes(self) -> dict[str, Any]:
        """The row's values by attribute, of what `names` knows by column: put together only if somebody asks."""
        return {self._names[column]: value for column, value in self._values.items() if column in self._names}


def announce(changes: Sequence[Change]) -> None:
    """Count what was dropped, and send `cache_invalidated` for each row, or for the table as a whole.

    A receiver that raises is logged by Django and keeps no other from being told.
    """
    counters.dropped(changes)
    if changes and events.listeners:
        events.tell(events.Drop(changes=changes))
    if not cache_invalidated.receivers:
        return
    for change in changes:
        if isinstance(change.row, ObjectRow):
            cache_invalidated.send_robust(sender=change.row.model, obj_dict=change.row.attributes)
        else:
            for model in tables.models_of(change.table)[:1]:
                cache_invalidated.send_robust(sender=model, obj_dict=None)
