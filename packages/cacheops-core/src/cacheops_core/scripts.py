"""The Lua scripts, one file each in ``lua/``; each says there what it does to which keys."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha1
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Script:
    """A script's source, and the digest by which a server that has seen it knows it."""

    name: str
    source: str
    is_repeatable: bool = True
    """Whether running it twice has the effect, and the answer, of once."""
    takes_run: bool = False
    """Whether it must be told the run of the server that it runs on."""
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha", sha1(self.source.encode(), usedforsecurity=False).hexdigest())


def _read(name: str) -> str:
    return files("cacheops_core").joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")


ACQUIRE = Script("acquire", _read("acquire"), takes_run=True)
FENCE = Script("fence", _read("conjunctions") + _read("fence"))
RELEASE = Script("release", _read("conjunctions") + _read("release"))
DROP = Script("drop", _read("drop"))
FORGET = Script("forget", _read("forget"))
INCR = Script("incr", _read("incr"), is_repeatable=False)
SWAP = Script("swap", _read("swap"), is_repeatable=False)
LOCK = Script("lock", _read("lock"))
RENEW = Script("renew", _read("renew"))
UNLOCK = Script("unlock", _read("unlock"))
