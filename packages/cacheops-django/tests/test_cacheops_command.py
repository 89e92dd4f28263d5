"""`manage.py cacheops explain|stats|doctor`: what is printed, and which mistakes are told."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings
from testapp.models import Category, Post, Tag

from cacheops_core.testing import Server
from cacheops_django import counters, live, shared_counters, stats
from cacheops_django.stats import Table

AWAY = "redis://127.0.0.1:1/0"

pytestmark = pytest.mark.django_db(databases=["default", "other"])


@pytest.fixture(autouse=True)
def _sharing(db: None) -> Iterator[None]:
    counters.reset()
    shared_counters.begin_anew()
    with override_settings(CACHEOPS_COUNTERS_EVERY=5):
        yield
    counters.reset()
    shared_counters.begin_anew()


def run(*arguments: str) -> str:
    said = io.StringIO()
    call_command("cacheops", *arguments, stdout=said, no_color=True)
    return said.getvalue()


# explain


def test_it_explains_a_query():
    assert run("explain", "testapp.Tag").startswith("fetch of testapp.Tag: a miss\n")
    list(Tag.objects.all())
    assert run("explain", "testapp.tag").startswith("fetch of testapp.Tag: a hit\n")


QUERIES: dict[str, tuple[list[str], Any]] = {
    "filter": (["--filter", "title=a"], lambda: list(Post.objects.filter(title="a"))),
    "a number": (["--filter", "pk=7"], lambda: list(Post.objects.filter(pk=7))),
    "a list": (["--filter", "pk__in=7,8"], lambda: list(Post.objects.filter(pk__in=[7, 8]))),
    "nothing": (["--filter", "editor__isnull=True"], lambda: list(Post.objects.filter(editor__isnull=True))),
    "filters": (
        ["--filter", "title=a", "visible=True"],
        lambda: list(Post.objects.filter(title="a", visible=True)),
    ),
    "exclude": (["--exclude", "title=a"], lambda: list(Post.objects.exclude(title="a"))),
    "order": (["--order-by=-title", "--order-by=pk"], lambda: list(Post.objects.order_by("-title", "pk"))),
    "count": (["--op", "count", "--filter", "title=a"], Post.objects.filter(title="a").count),
    "database": (["--database", "other"], lambda: list(Post.objects.using("other"))),
}


@pytest.mark.parametrize("asked", QUERIES)
def test_options_make_the_query_that_code_makes(asked: str):
    arguments, ask = QUERIES[asked]
    assert ": a miss" in run("explain", "testapp.Post", *arguments)
    ask()
    assert ": a hit" in run("explain", "testapp.Post", *arguments)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["testapp"], "names no model"),
        (["shop.Product"], 'no app "shop"'),
        (["testapp.Pots"], 'Did you mean "Post"'),
        (["testapp.Post", "--filter", "title"], '"title" is no condition'),
        (["testapp.Post", "--filter", "titel=a"], "cannot be asked that: Cannot resolve keyword 'titel'"),
        (["testapp.Post", "--filter", "pk=a"], "cannot be asked that"),
        (["testapp.Post", "--filter", "editor__isnull=1"], "isnull is True or False"),
        (["testapp.Post", "--order-by", "titel"], "Cannot resolve keyword"),
        (["testapp.Post", "--database", "replica"], 'no database "replica"'),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_are_told_without_a_traceback(arguments: list[str], message: str):
    with pytest.raises(CommandError, match=message):
        run("explain", *arguments)


# stats


def counted() -> None:
    for _ in range(3):
        list(Tag.objects.all())
    Tag.objects.order_by("?").first()
    Tag.objects.create(name="a")
    shared_counters.publish()


def test_before_anything_is_counted_it_says_so():
    assert run("stats").strip().startswith("Nothing has been counted yet:")


@pytest.mark.parametrize("span", [[], ["--minutes", "5"], ["--minutes", "240"], ["--all"]], ids=str)
def test_it_shows_what_was_counted(span: list[str]):
    counted()
    lines = [line.split() for line in run("stats", *span).splitlines()]
    assert ["testapp.Tag", "fetch", "3", "2", "67%", "1"] in [line[:6] for line in lines]
    assert ["testapp.Tag", "get", "volatile", "1"] in [line[:4] for line in lines]
    assert ["testapp.Tag", "1", "0"] in lines


@pytest.mark.parametrize(
    "minutes, span",
    [("1", "the last 1 minute"), ("60", "the last 60 minutes"), ("300", "the last 5 hours"),
     ("1000000", "the last 168 hours")],
)  # fmt: skip
def test_it_says_of_which_time(minutes: str, span: str):
    assert json.loads(run("stats", "--json", "--minutes", minutes))["span"] == span


def test_it_shows_queries_where_they_are_asked_for():
    counted()
    assert "SELECT testapp_tag.id" not in run("stats")
    assert "fetch  SELECT testapp_tag.id, testapp_tag.name FROM testapp_tag" in run("stats", "--queries")


def test_as_json_it_can_be_read_by_programs():
    counted()
    data = json.loads(run("stats", "--json", "--queries"))
    by_op = {entry["op"]: entry for entry in data["models"]}
    assert (by_op["fetch"]["hits"], by_op["fetch"]["hit_rate"]) == (2, pytest.approx(2 / 3))
    assert by_op["get"]["bypasses"] == {"volatile": 1}
    assert by_op[""]["drops"] == {"rows": 1}
    assert data["queries"][0]["query"].startswith("SELECT")


def test_it_shows_the_counts_again_and_again():
    counted()
    said = run("stats", "--watch", "0.001", "--times", "3")
    assert said.count("What was asked, in the last 60 minutes") == 3


def test_it_ends_when_somebody_wants_it_to(monkeypatch: pytest.MonkeyPatch):
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", interrupt)
    assert "Nothing has been counted yet:" in run("stats", "--watch")


def test_rich_shows_the_tables_in_one_place(monkeypatch: pytest.MonkeyPatch):
    counted()
    from rich.console import Console

    said = io.StringIO()
    console = Console(file=said, force_terminal=True, width=150)
    with live.screen(console) as show:
        show([], "nothing")
        show(stats.tables(stats.gather()), "nothing")
    assert "testapp.Tag" in said.getvalue()
    assert "nothing" in said.getvalue()


def test_what_was_counted_is_no_markup():
    from rich.console import Console

    said = io.StringIO()
    with live.screen(Console(file=said, force_terminal=True, width=80)) as show:
        show([Table("title", ("query",), [("[red]x[/nothing]",)])], "")
    assert "[red]x[/nothing]" in said.getvalue()


@pytest.mark.parametrize("option", [["--watch", "0"], ["--minutes", "0"]], ids=str)
def test_times_must_be_times(option: list[str]):
    with pytest.raises(CommandError, match="above 0"):
        run("stats", *option)


# doctor


def test_it_tells_all_findings():
    said = run("doctor")
    assert "ok      settings: 2 profiles and no mistake." in said
    assert "warning memory: " in said
    assert "        Set maxmemory" in said


def test_it_fails_with_an_error():
    with (
        override_settings(CACHEOPS_REDIS="redis://127.0.0.1:1/0", CACHEOPS_CLUSTER=None),
        pytest.raises(CommandError, match="1 error: see") as e,
    ):
        run("doctor")
    assert e.value.returncode == 1


def test_findings_as_json():
    findings = json.loads(run("doctor", "--json"))
    assert {
        "level": "ok",
        "subject": "settings",
        "says": "2 profiles and no mistake.",
        "remedy": "",
    } in findings


def test_a_server_that_is_away_is_told_without_a_traceback(cache_server: Server):
    with (
        override_settings(CACHEOPS_REDIS="redis://127.0.0.1:1/0", CACHEOPS_CLUSTER=None),
        pytest.raises(CommandError, match="server failed"),
    ):
        run("stats")


def test_a_category_is_explained_by_its_profile():
    with override_settings(CACHEOPS={"testapp.tag": {"timeout": 1}}):
        assert f'Add "{Category._meta.label_lower}"' in run("explain", "testapp.Category")
