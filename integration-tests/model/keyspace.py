"""A server small enough to be copied at each step: the commands of our scripts, and Lua itself.

A keyspace is an immutable mapping, so that a state of the world can be kept, compared and returned to. Time
does not pass in it: fences end when somebody says so, and the clock counts calls of scripts.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from hashlib import sha1
from typing import Any

from lupa.lua51 import LuaRuntime, lua_type

from cacheops_core.flows import RUN, Call, Command
from cacheops_core.scripts import Script

Value = bytes | frozenset[bytes] | tuple[tuple[bytes, float], ...]
"""A string, a set or a sorted set."""

Keyspace = tuple[tuple[bytes, Value], ...]
"""Keys by name, in order."""

EMPTY: Keyspace = ()

KINDS = {bytes: b"string", frozenset: b"set", tuple: b"zset", type(None): b"none"}

WRONG_TYPE = b"WRONGTYPE Operation against a key holding the wrong kind of value"


class WrongType(Exception):
    """A command met a key of another type than its own."""


def raw(value: Any) -> bytes:
    """Return an argument as it goes over the wire."""
    if isinstance(value, bytes):
        return value
    return (f"{value:.17g}" if isinstance(value, float) else str(value)).encode()


class Server:
    """Runs commands and scripts against a keyspace that is given to it, and hands back the next one."""

    def __init__(self) -> None:
        self._lua = LuaRuntime(encoding=None)
        self._null = self._lua.table()
        self._functions: dict[str, Any] = {}
        self._keys: dict[bytes, Value] = {}
        self._clock = 0
        self._globals = (self._redis(), self._cjson(), self._struct())

    def run(
        self, keyspace: Keyspace, clock: int, request: Command | Call, run: bytes
    ) -> tuple[Keyspace, Any]:
        """Return the keyspace after a request, and its reply; ``run`` is which life of which server answers."""
        self._keys, self._clock = dict(keyspace), clock
        if isinstance(request, Call):
            reply = self._evaluate(request, run)
        else:
            reply = self.command(raw(request.name), *map(raw, request.args))
            if request.tells_run:
                reply = [run, reply]
        return tuple(sorted(self._keys.items())), reply

    def command(self, name: bytes, *args: bytes) -> Any:
        """Run one command against the present keyspace."""
        method: Callable[..., Any] = getattr(self, "do_" + name.decode().lower())
        return method(*args)

    # Lua

    def _evaluate(self, call: Call, run: bytes) -> Any:
        function = self._functions.get(call.script.sha)
        if function is None:
            function = self._functions[call.script.sha] = self._compile(call.script)
        keys, args = ([run if one is RUN else raw(one) for one in many] for many in (call.keys, call.args))
        reply = function(self._lua.table_from(keys), self._lua.table_from(args), *self._globals)
        return self._from_lua(reply)

    def _compile(self, script: Script) -> Any:
        source = f"return function(KEYS, ARGV, redis, cjson, struct)\n{script.source}\nend"
        return self._lua.execute(source.encode())

    def _redis(self) -> Any:
        def call(name: bytes, *args: Any) -> Any:
            return self._to_lua(self.command(name, *map(raw, args)))

        def pcall(name: bytes, *args: Any) -> Any:
            try:
                return call(name, *args)
            except WrongType:
                return self._lua.table_from({b"err": WRONG_TYPE})

        return self._lua.table_from(
            {b"call": call, b"pcall": pcall, b"sha1hex": lambda text: sha1(text).hexdigest().encode()}
        )

    def _cjson(self) -> Any:
        def decode(text: bytes) -> Any:
            rows = [
                {
                    name.encode(): self._null if token is None else token.encode()
                    for name, token in row.items()
                }
                for row in json.loads(text)
            ]
            return self._lua.table_from([self._lua.table_from(row) for row in rows])

        return self._lua.table_from({b"decode": decode, b"null": self._null})

    def _struct(self) -> Any:
        return self._lua.table_from({b"pack": lambda _, number: struct.pack(">Q", int(number))})

    def _to_lua(self, reply: Any) -> Any:
        if reply is None:
            return False
        if isinstance(reply, list):
            return self._lua.table_from(reply)
        return self._lua.table_from({b"ok": reply[1]}) if isinstance(reply, tuple) else reply

    def _from_lua(self, reply: Any) -> Any:
        if lua_type(reply) == "table":
            return [self._from_lua(one) for one in reply.values()]
        if reply is False:
            return None
        return int(reply) if isinstance(reply, float) else reply

    # Commands

    def _of(self, key: bytes, kind: type, empty: Any) -> Any:
        value = self._keys.get(key)
        if value is None:
            return empty
        if not isinstance(value, kind):
            raise WrongType(WRONG_TYPE.decode())
        return value

    def _put(self, key: bytes, value: Value) -> None:
        if value:
            self._keys[key] = value
        else:
            self._keys.pop(key, None)

    def do_time(self) -> list[bytes]:
        return [b"0", b"%d" % self._clock]

    def do_publish(self, *_: bytes) -> int:
        return 0

    def do_type(self, key: bytes) -> tuple[str, bytes]:
        return "status", KINDS[type(self._keys.get(key))]

    def do_exists(self, key: bytes) -> int:
        return int(key in self._keys)

    def do_del(self, key: bytes) -> int:
        return int(self._keys.pop(key, None) is not None)

    def do_pttl(self, key: bytes) -> int:
        return 10_000 if key in self._keys else -2

    def do_pexpire(self, key: bytes, _: bytes) -> int:
        return int(key in self._keys)

    do_persist = do_exists

    def do_get(self, key: bytes) -> bytes | None:
        found: bytes | None = self._of(key, bytes, None)
        return found

    def do_mget(self, *keys: bytes) -> list[bytes | None]:
        found = [self._keys.get(key) for key in keys]
        return [value if isinstance(value, bytes) else None for value in found]

    def do_set(self, key: bytes, value: bytes, *_: bytes) -> bool:
        self._keys[key] = value
        return True

    def do_scan(self, cursor: bytes, _: bytes, pattern: bytes, *__: bytes) -> list[Any]:
        # One key at a time, in their order, so that anything may happen between any two. The cursor is the last name.
        last = int(cursor).to_bytes((int(cursor).bit_length() + 7) // 8, "big")
        for key in sorted(self._keys):
            if key > last and fnmatchcase(key.decode(), pattern.decode()):
                return [b"%d" % int.from_bytes(key, "big"), [key]]
        return [b"0", []]

    def do_sismember(self, key: bytes, member: bytes) -> int:
        return int(member in self._of(key, frozenset, frozenset()))

    def do_scard(self, key: bytes) -> int:
        return len(self._of(key, frozenset, frozenset()))

    def do_smembers(self, key: bytes) -> list[bytes]:
        return sorted(self._of(key, frozenset, frozenset()))

    def do_sadd(self, key: bytes, member: bytes) -> int:
        before = self._of(key, frozenset, frozenset())
        self._put(key, before | {member})
        return int(member not in before)

    def do_zadd(self, key: bytes, score: bytes, member: bytes) -> int:
        before = dict(self._of(key, tuple, ()))
        self._put(key, tuple(sorted({**before, member: float(score)}.items())))
        return int(member not in before)

    def do_zrem(self, key: bytes, member: bytes) -> int:
        before = self._of(key, tuple, ())
        self._put(key, tuple(one for one in before if one[0] != member))
        return int(any(one[0] == member for one in before))

    def do_zremrangebyscore(self, key: bytes, _: bytes, highest: bytes) -> int:
        before = self._of(key, tuple, ())
        self._put(key, tuple(one for one in before if one[1] > float(highest)))
        return 0


def fences(keyspace: Keyspace) -> Iterator[tuple[bytes, tuple[tuple[bytes, float], ...]]]:
    """Yield the fences that stand."""
    for key, value in keyspace:
        if isinstance(value, tuple):
            yield key, value


def without(keyspace: Keyspace, lost: bytes) -> Keyspace:
    """Return the keyspace without a key."""
    return tuple((key, value) for key, value in keyspace if key != lost)


def with_expired(keyspace: Keyspace, unit: bytes) -> Keyspace:
    """Return the keyspace after a unit's deadline: a fence of its own is gone, of another's it is a dead member."""
    keys = dict(keyspace)
    for key, members in fences(keyspace):
        scores = {member: 0.0 if member == unit else score for member, score in members}
        if any(scores.values()):
            keys[key] = tuple(sorted(scores.items()))
        else:
            del keys[key]
    return tuple(sorted(keys.items()))
