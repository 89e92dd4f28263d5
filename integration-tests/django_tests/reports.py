"""What comes of one module's tests in one process, and how two processes' reports differ."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

PASSED = "passed"
NOT_RUN = "not run"
READ_OTHERWISE = "read something else than the database has"

LENGTH = 3000
"""Characters of a traceback that are kept, from its end."""


@dataclass(slots=True)
class Report:
    """What has come of the tests so far."""

    outcomes: dict[str, str] = field(default_factory=dict)
    """In a word or two, by the test's id."""
    details: dict[str, str] = field(default_factory=dict)
    """Of those that did not pass."""
    reads: int = 0
    """Reads that were compared with the database."""
    hits: int = 0
    """Those of them that the cache has answered."""
    test: str = ""
    """The test that is running."""

    def note(self, test: str, outcome: str, detail: str = "") -> None:
        """Note the outcome of a test; of several, as with subtests, the first that is not a success counts."""
        if self.outcomes.get(test, PASSED) == PASSED:
            self.outcomes[test] = outcome
            if detail:
                self.details[test] = detail[-LENGTH:]

    def compared(self, *, is_hit: bool) -> None:
        """Count a read."""
        self.reads += 1
        self.hits += is_hit

    def differs(self, told: str) -> None:
        """Note that the running test has read something else than the database has."""
        self.note(self.test, READ_OTHERWISE, told[:LENGTH])

    def save(self, path: Path) -> None:
        """Write it where another process finds it."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, path: Path) -> Report:
        """Return what another process has written."""
        return cls(**json.loads(path.read_text()))


OURS = Report()
"""Of the tests of this process."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A test of which not the same has come with the cache."""

    test: str
    plain: str
    cached: str
    detail: str

    def __str__(self) -> str:
        return f"{self.test}: {self.plain} without the cache, {self.cached} with it"


def differences(plain: Report, cached: Report) -> Iterator[Difference]:
    """Yield the tests of which the two reports say different things."""
    for test in plain.outcomes | cached.outcomes:
        before, after = (report.outcomes.get(test, NOT_RUN) for report in (plain, cached))
        if before != after:
            yield Difference(test, before, after, cached.details.get(test) or plain.details.get(test, ""))
