"""What every cache can do with values that depend on nothing but time, as flows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from . import near_writes, simple
from .errors import CacheMiss, ConfigurationError
from .flows import Flow
from .lookups import NOT_GIVEN, NOTHING, milliseconds
from .serializers import is_bound
from .verbs import Verbs


class SimpleVerbs(Verbs):
    """Values under keys: get, set, add, count, touch, delete."""

    def getting(self, key: Any, default: Any = NOT_GIVEN) -> Flow[Any]:
        """Return the value under a key; without a default, raise CacheMiss if there is none."""
        found = yield from self.getting_many([key])
        if not found and default is NOT_GIVEN:
            raise CacheMiss(key)
        return found.get(0, default)

    def getting_many(self, keys: Iterable[Any]) -> Flow[dict[int, Any]]:
        """Return the values that are there, by the position of their key."""
        names = [self._simple_key(key) for key in keys]
        entries = yield from self.unless_down(simple.read(names), [])
        found = {}
        for position, entry in enumerate(entries):
            value, is_hit = (None, False) if entry is None else self._decoded(names[position], entry)
            if is_hit:
                found[position] = value
        return found

    def setting_many(self, values: Iterable[tuple[Any, Any]], timeout: Any = NOT_GIVEN) -> Flow[None]:
        """Store values; raise DumpError, and store none, if one of them cannot be stored."""
        named = [(self._simple_key(key), value) for key, value in values]
        entries = {name: simple.encode(self.serializer, name, value) for name, value in named}
        yield from self._changing(entries, simple.write(entries, self._lifetime(timeout)), None)

    def adding(self, key: Any, value: Any, timeout: Any = NOT_GIVEN) -> Flow[bool]:
        """Store a value if there is none yet; return whether it was."""
        name = self._simple_key(key)
        flow = simple.add(name, simple.encode(self.serializer, name, value), self._lifetime(timeout))
        return bool((yield from self._changing([name], flow, False)))

    def incrementing(self, key: Any, delta: int, timeout: Any = NOT_GIVEN) -> Flow[int]:
        """Add to a whole number; where the server is away, as if there were none yet."""
        name, lifetime = self._simple_key(key), self._lifetime(timeout)
        is_readable = not is_bound(self.serializer)
        flow = simple.incr(name, delta, lifetime) if is_readable else self._adding_to(name, delta, lifetime)
        total = yield from self._changing([name], flow, delta)
        if total is None:
            raise ConfigurationError(
                f"incr needs a whole number of 64 bits under {key!r}, got another value: set it to one first"
            )
        return int(total)

    def incrementing_what_is_there(self, key: Any, delta: int) -> Flow[int | None]:
        """Add to a whole number, whose end stays where it is; None if there is no number."""
        name = self._simple_key(key)
        flow = self._changing([name], self._adding_to(name, delta, None), None)
        return (yield from flow)  # type: ignore[no-any-return]  # flows are

    def touching(self, key: Any, timeout: Any = NOT_GIVEN) -> Flow[bool]:
        """Let a value live on for so many seconds from now; return whether there is one."""
        flow = simple.touch(self._simple_key(key), self._lifetime(timeout))
        return bool((yield from self.unless_down(flow, False)))

    def deleting(self, key: Any) -> Flow[bool]:
        """Remove a value; return whether there was one."""
        name = self._simple_key(key)
        return bool((yield from self._changing([name], simple.forget(name), False)))

    def deleting_many(self, keys: Iterable[Any]) -> Flow[int]:
        """Remove values, in one round trip; return how many there were."""
        names = [self._simple_key(key) for key in keys]
        return int((yield from self._changing(names, simple.forget_many(names), 0)))

    def _changing(self, names: Iterable[str], flow: Flow[Any], otherwise: Any) -> Flow[Any]:
        # Near copies of other processes end at their age: to tell them of each value would cost them more.
        try:
            return (yield from self.unless_down(flow, otherwise))
        finally:
            near_writes.drop_entries(self.options.prefix, names)

    def _adding_to(self, name: str, delta: int, lifetime: int | None) -> Flow[int | None]:
        # Without a lifetime, to nothing but what is there.
        while True:
            (entry,) = yield from simple.read([name])
            value, is_hit = (None, False) if entry is None else self._decoded(name, entry)
            before: Any = value if is_hit else 0 if lifetime is not None else None
            if not simple.is_number(before) or not simple.is_number(before + delta):
                return None
            # What does not verify counts as nothing, its end included.
            new, until = simple.encode(self.serializer, name, before + delta), None if is_hit else lifetime
            if (yield from simple.swap(name, entry, new, until)):
                return int(before + delta)

    def _simple_key(self, key: Any) -> str:
        return self._entry_key(key, self._stamp_keys(NOTHING))

    def _lifetime(self, timeout: Any) -> int:
        return milliseconds(self._timeout(timeout))
