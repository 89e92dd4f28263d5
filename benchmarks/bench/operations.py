"""What is measured, and where each is to get: a table that needs no Django, for whoever drives and reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["read", "miss", "write"]


@dataclass(frozen=True, slots=True)
class Target:
    """Where an operation is to get."""

    times: float
    """How many times less than django-cacheops 7.2 it is to cost: CPU, or bytes."""

    most_trips: int | None = None
    """Round trips that it may make."""

    below: float | None = None
    """Microseconds of CPU that it must stay below."""

    def __str__(self) -> str:
        trips = "" if self.most_trips is None else f" in {self.most_trips} trips"
        return f"{self.times:g}x{trips}" + ("" if self.below is None else f" below {self.below:g} us")


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that is measured."""

    name: str
    """By which ``--only`` chooses it."""

    title: str

    kind: Kind
    """Of a read the hit is measured, which must ask no database; of others what they cost beyond no cache."""

    plain: Target | None = None
    near: Target | None = None

    dependents: int = 0
    """Entries that are there each time, all of which the operation must drop; 0 stands for none in particular."""

    def goal(self, contender: str) -> Target | None:
        """Return where a contender is to get, if it is one of ours."""
        return {"ours": self.plain, "near": self.near}.get(contender)


OPERATIONS = (
    Operation("floor", "MGET of 3 keys by the client alone", "read"),
    Operation("get", "get by primary key", "read", Target(5), Target(40, below=10)),
    Operation("fk", "foreign key access", "read", Target(4), Target(15)),
    Operation("fetch20", "fetch 20 rows", "read", Target(2.8), Target(3.8)),
    Operation("fetch100", "fetch 100 rows", "read", Target(2.8), Target(4)),
    Operation("join", "select_related, 20 rows", "read"),
    Operation("prefetch", "prefetch_related, 20 rows", "read", Target(2.2), Target(3)),
    Operation("values_list", "values_list, 20 rows", "read", Target(2), Target(2.6)),
    Operation("count", "count", "read", Target(3.3), Target(5)),
    Operation("exists", "exists", "read", Target(3.3), Target(5)),
    Operation("aggregate", "aggregate", "read"),
    Operation("cached_as", "function, cached_as", "read", Target(1.25), Target(6)),
    Operation("cached", "function, cached", "read", Target(1.15), Target(6)),
    Operation("template", "template fragment", "read", Target(1.5), Target(4)),
    Operation("jinja", "Jinja2 fragment", "read"),
    Operation("miss", "miss, 20 rows", "miss", Target(2)),
    Operation("miss_get", "miss, one row", "miss", Target(2)),
    Operation("save", "save", "write", Target(3, most_trips=2)),
    Operation("delete", "delete", "write"),
    Operation("bulk_create", "bulk_create of 1,000", "write", Target(10, most_trips=4)),
    Operation("saves", "200 saves in a transaction", "write"),
    Operation("invalidate_obj", "invalidate_obj", "write"),
    Operation("invalidate_model", "invalidate_model", "write"),
    *(
        Operation(f"{name}_{count}", f"{name} with {count:,} dependents", "write", dependents=count)
        for count in (100, 100_000)
        for name in ("save", "invalidate_obj", "invalidate_model")
    ),
)

BY_NAME = {operation.name: operation for operation in OPERATIONS}

BYTES = Target(1 / 0.7)
"""Bytes in Redis per entry: 0.7 of what it takes there."""

OTHERS = {
    "bytes": "bytes in Redis per entry",
    "import": "time to import",
    "clients": "hits per second of one server with 1 to 8 client processes",
}
"""What is measured in ways of its own."""
