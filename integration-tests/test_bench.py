"""The bench measures what it says: a short run of it, and what it makes of its slices."""

import json
import os
import sys
from pathlib import Path
from subprocess import run
from typing import Any

import pytest
from databases import why_not

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.append(str(BENCHMARKS))

from bench.operations import BY_NAME, OPERATIONS, Operation, Target  # noqa: E402
from bench.results import Result, Series  # noqa: E402
from bench.runner import Runner  # noqa: E402

pytestmark = pytest.mark.one_database


def series(*cpu: float, trips: float | None = None) -> Series:
    return Series([*cpu], [*cpu], trips)


def result(kind: Any, plain: Target | None = None, **found: Series) -> Result:
    return Result(
        Operation("x", "x", kind, plain), {name.replace("theirs", "7.2"): one for name, one in found.items()}
    )


def test_a_read_is_compared_as_it_is():
    measured = result("read", none=series(9, 9, 9), theirs=series(30, 60, 90), ours=series(10, 20, 30))
    assert measured.cost("ours") == 20
    assert measured.ratio("ours").median == 3


def test_a_write_is_compared_by_what_it_costs_beyond_no_cache():
    measured = result("write", none=series(10, 100), theirs=series(40, 130), ours=series(20, 110))
    assert measured.extra("ours") == [10, 10]
    assert measured.ratio("ours").median == 3


def test_slices_of_one_round_are_compared_with_each_other():
    measured = result("read", theirs=series(10, 1000, 10), ours=series(5, 500, 5))
    ratio = measured.ratio("ours")
    assert (ratio.low, ratio.median, ratio.high) == (2, 2, 2)


@pytest.mark.parametrize(
    "goal,trips,is_met,said",
    [
        (Target(3), None, True, "3x"),
        (Target(4), None, False, "4x"),
        (Target(3, most_trips=2), 2, True, "3x in 2 trips"),
        (Target(3, most_trips=2), 3, False, "3x in 2 trips"),
        (Target(3, below=11), None, True, "3x below 11 us"),
        (Target(3, below=10), None, False, "3x below 10 us"),
    ],
)
def test_a_target_is_met_in_all_that_it_says(goal: Target, trips: float | None, is_met: bool, said: str):
    measured = result("read", goal, theirs=series(30), ours=series(10, trips=trips))
    assert measured.is_met("ours") is is_met
    assert str(goal) == said


def test_each_operation_has_a_name_of_its_own():
    assert len(BY_NAME) == len(OPERATIONS)


class Answering:
    """A process of a site that knows one answer."""

    def __init__(self, name: str, answer: str) -> None:
        self.name, self.answer = name, answer
        self.contender = self
        self.title = name
        self.process = self

    def do(self, order: str, *arguments: Any) -> Any:
        told = {"is_supported": True, "answers": [self.answer], "queries": 0}
        return {"prepare": told, "calibrate": 1, "slice": (1.0, 1.0), "answer": self.answer}[order]


def test_who_answers_wrongly_is_not_measured():
    mistakes: list[str] = []
    sites: Any = [Answering("none", "1"), Answering("ours", "2")]
    measured = Runner(sites, None, slices=2, seconds=None).measure(BY_NAME["get"], mistakes)  # type: ignore[arg-type]
    assert measured.absent == {"ours": "wrong"}
    assert len(mistakes) == 1
    assert mistakes[0].startswith("ours")


def a_short_run(file: Path, *chosen: str) -> Any:
    command = [
        sys.executable,
        str(BENCHMARKS / "run.py"),
        "--source",
        f"--json={file}",
        "--slices=2",
        *chosen,
    ]
    ended = run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return json.loads(file.read_text())


def test_a_short_run_measures_hits_writes_and_bytes(tmp_path: Path):
    chosen = "get,cached_as,save,save_100,bytes"
    found = a_short_run(tmp_path / "found.json", "--contenders=none,ours", f"--only={chosen}")
    assert found["mistakes"] == []
    by_name = {one["operation"]: one["ours"] for one in found["results"]}
    assert {name: by_name[name]["trips"] for name in ("get", "cached_as", "save")} == {
        "get": 1,
        "cached_as": 1,
        "save": 2,
    }
    assert all(one["cpu"] > 0 for one in by_name.values())
    assert 100 < found["bytes_per_entry"]["get"]["ours"] < 2000


@pytest.mark.skipif(why_not("postgresql") is not None, reason="there is no PostgreSQL, as is told at the end")
def test_a_short_run_measures_on_postgresql_too(tmp_path: Path):
    found = a_short_run(
        tmp_path / "found.json", "--contenders=ours", "--only=get,save", "--database=postgresql"
    )
    assert found["mistakes"] == []
    assert {one["operation"]: one["ours"]["trips"] for one in found["results"]} == {"get": 1, "save": 2}


def test_a_run_without_its_database_says_what_to_do(tmp_path: Path):
    command = [sys.executable, str(BENCHMARKS / "run.py"), "--source", "--only=get", "--contenders=ours"]
    nowhere = os.environ | {"CACHEOPS_TEST_POSTGRES_URL": "postgresql://nobody@127.0.0.1:1/none"}
    ended = run([*command, "--database=postgresql"], capture_output=True, text=True, check=False, env=nowhere)
    assert ended.returncode == 1
    assert "there is no PostgreSQL at postgresql://nobody@127.0.0.1:1/none" in ended.stdout
    assert "nothing to measure" in ended.stderr
