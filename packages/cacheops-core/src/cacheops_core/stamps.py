"""The names of the keys that results depend on, and the heads of entries that are made of what they hold.

A *birth* is the server's clock and four bytes that whoever asked for it had drawn. The clock tells a stamp's
age. The drawn bytes make sure that no stamp is born twice, not even where the clock has been set back (by its
owner, or by a failover to a machine that lags behind): an entry of the first life would be served again.

A *run* is one life of one server, as four bytes (see `runs`). A generation ends with the run that it was made in,
so that a server which comes back with older data has none that are valid.
"""

from __future__ import annotations

import struct
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

from .conditions import Conjunction, Dependencies, conjunction_text, quoted
from .errors import ConfigurationError

FORMAT = b"\x03"
"""What an entry begins with; another layout gets another byte, so that no version serves another's."""

NONCE = 4
"""Bytes that are drawn for each birth."""

RUN_LENGTH = 4
"""Bytes of the name of a run."""

BIRTH = 8 + NONCE
"""Bytes of a birth."""

GENERATION = BIRTH + RUN_LENGTH
"""Bytes of a generation: its birth, and the run that it was born in."""

STAMP = GENERATION + BIRTH
"""Bytes of a stamp: its table's generation, then its own birth. In a head it need not say the generation again."""

Births = dict[bytes, int]
"""The moment of the youngest birth in each run, in microseconds of that server's clock."""


@dataclass(frozen=True, slots=True)
class TableKeys:
    """The names of a table's bookkeeping keys."""

    table: str
    generation: str
    registry: str
    committing: str
    conjunctions: str
    """What the keys of conjunctions begin with."""

    @classmethod
    @lru_cache(maxsize=1024)
    def of(cls, prefix: str, table: str) -> TableKeys:
        """Return the names for a table; the part in braces is the same in all, so that they share a slot."""
        if not isinstance(table, str) or not table:
            raise ConfigurationError(f"a table's name must be a string that is not empty, got {table!r}")
        tag = "{" + quoted(table) + "}"
        return cls(table, f"{prefix}g:{tag}", f"{prefix}s:{tag}", f"{prefix}f:{tag}", f"{prefix}c:{tag}:")


@dataclass(frozen=True, slots=True)
class StampKeys:
    """The keys of all stamps that one result depends on, in the order of its head."""

    tables: tuple[tuple[TableKeys, tuple[Conjunction, ...]], ...]
    keys: tuple[str, ...]
    digest: bytes
    """Stands for the names of all keys."""
    head_length: int
    """Bytes of every head that is made of these stamps."""
    shape: Hashable
    """What they have in common with those of other values."""

    @classmethod
    def of(cls, prefix: str, dependencies: Dependencies) -> StampKeys:
        """Return the names of what these dependencies are kept under."""
        tables = tuple((TableKeys.of(prefix, table), found) for table, found in dependencies.tables)
        keys: list[str] = []
        length = len(FORMAT)
        for table, conjunctions in tables:
            keys.append(table.generation)
            keys.extend(table.conjunctions + conjunction_text(c) for c in conjunctions)
            length += GENERATION + BIRTH * len(conjunctions)
        digest = blake2b("\n".join(keys).encode(), digest_size=16).digest()
        shape = tuple(
            (table, tuple(field for c in found for field, _ in c)) for table, found in dependencies.tables
        )
        return cls(tables, tuple(keys), digest, length, shape)

    def head(self, found: Sequence[bytes | None], run: bytes | Sequence[bytes]) -> bytes | None:
        """Return the head of an entry computed under these stamps, or None unless each of them is valid.

        ``run`` is that of the server which has told them; of each of them, where several have. One that is empty
        is not known, and nothing is valid in it.
        """
        parts, position = [FORMAT], 0
        for _, conjunctions in self.tables:
            generation = found[position]
            own = run if isinstance(run, bytes) else run[position]
            if not own or generation is None or len(generation) != GENERATION or not generation.endswith(own):
                return None
            parts.append(generation)
            for stamp in found[position + 1 : position + 1 + len(conjunctions)]:
                if stamp is None or len(stamp) != STAMP or not stamp.startswith(generation):
                    return None
                parts.append(stamp[GENERATION:])
            position += 1 + len(conjunctions)
        return b"".join(parts)

    def generations(self, head: bytes) -> list[bytes]:
        """Return the generation of each table that a head was made under."""
        found: list[bytes] = []
        position = len(FORMAT)
        for _, conjunctions in self.tables:
            found.append(head[position : position + GENERATION])
            position += GENERATION + BIRTH * len(conjunctions)
        return found

    def youngest(self, head: bytes) -> Births:
        """Return when the youngest of a head's stamps were born, on each server's own clock."""
        births: Births = {}
        position = len(FORMAT)
        for _, conjunctions in self.tables:
            position += GENERATION
            run = head[position - RUN_LENGTH : position]
            for _ in conjunctions:
                (birth,) = struct.unpack_from(">Q", head, position)
                births[run] = max(birth, births.get(run, 0))
                position += BIRTH
        return births
