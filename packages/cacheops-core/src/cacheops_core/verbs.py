"""What every cache can do, as flows: `Cache` and `AsyncCache` run them and add nothing but ``await``.

Reading is in `reading_verbs`; here is what writers do.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import uuid4

from . import conditions, flows, near_writes
from .errors import BackendError
from .flows import Flow
from .lookups import milliseconds
from .reading_verbs import ReadingVerbs
from .units import Debt, Unit

log: logging.Logger = logging.getLogger("cacheops")


class Verbs(ReadingVerbs):
    """The state of a cache, and all that it does, without the doing."""

    def fencing(self, unit: Unit) -> Flow[None]:
        """Before COMMIT: let nobody store what a unit's changes touch."""
        changes, options = unit.compact(), self.options
        lifetime = milliseconds(options.fence_lifetime)
        flow = flows.fence(options.prefix, unit.id, changes, lifetime, options.max_fences)
        try:
            self._learn((yield from self.unless_down(self._settling_before(flow), {})))
        finally:
            near_writes.drop_changes(options.prefix, changes)

    def releasing(self, unit: Unit) -> Flow[None]:
        """After COMMIT or rollback: drop what depends on a unit's changes; what can not be, is owed."""
        try:
            yield from self._releasing(unit.id, unit.compact())
        except BackendError as error:
            if self.options.degrade:
                self.circuit.failed(error)
            else:
                log.warning("%s; a release is owed", error)

    def invalidating(self, table: str, rows: Iterable[Mapping[str, Any]]) -> Flow[None]:
        """Drop what depends on rows of a table that have been committed, on any of them if none is given."""
        changes = {table: [conditions.row(row) for row in rows] or None}
        try:
            yield from self._releasing(uuid4().hex, changes)
        except BackendError as error:
            self.go_without(error)

    def sweeping(self) -> Flow[None]:
        """Drop all that is stored below the prefix, and every copy of it."""
        try:
            yield from self.insisting(flows.sweep(self.options.prefix))
        finally:
            near_writes.drop_all(self.options.prefix)

    def forgetting(self, name: str) -> Flow[bool]:
        """Remove one entry, and every copy of it; return whether there was one."""
        try:
            return bool((yield from self.insisting(flows.forget(self.options.prefix, name))))
        finally:
            near_writes.drop_entries(self.options.prefix, [name])

    def unit_of(self, changes: Iterable[tuple[str, Mapping[str, Any]] | str]) -> Unit:
        """Return a unit of work with these changes: rows of a table, or a table's name for all of it."""
        unit = Unit()
        for change in changes:
            table, values = (change, None) if isinstance(change, str) else change
            unit.add(table, None if values is None else [conditions.row(values)])
        return unit

    def _releasing(self, unit: str, changes: flows.Changes) -> Flow[None]:
        try:
            if self._is_cut_off():
                self.circuit.owe(self._owed, Debt(changes, unit))
            else:
                self._learn(
                    (yield from flows.release(self.options.prefix, unit, changes, self.options.max_fences))
                )
        except BaseException:
            # Cancelled or failed: the transaction is over, and others may be served what it has changed.
            self.circuit.owe(self._owed, Debt(changes, unit))
            raise
        finally:
            near_writes.drop_changes(self.options.prefix, changes)
