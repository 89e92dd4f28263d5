"""Every command with any arguments: it does its work, or says in a `CommandError` what is wrong, and nothing else."""

from __future__ import annotations

from contextlib import suppress
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from testapp.models import Category, Post, Tag

from cacheops_django.management.commands import cacheops, cleanfilecache, invalidate, reapconjs

pytestmark = pytest.mark.django_db(databases=["default", "other"])

quick = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])

WORDS = st.text(max_size=20) | st.sampled_from(
    [
        "",
        "1",
        "-1",
        "0",
        "nan",
        "inf",
        "1e9",
        "9" * 5000,
        "9" * 30,
        "\0",
        "\ud800",
        "all",
        "testapp",
        "None",
        "*.*",
        "a=b",
    ]
)
MODELS = st.sampled_from(["Post", "Tag", "Category", "Token", "Awkward", "Place", "Post_tags"])
NAMES = (
    st.builds("testapp.{}.{}".format, MODELS, WORDS) | st.builds("testapp.{}".format, MODELS | WORDS) | WORDS
)
FIELDS = st.sampled_from(
    [
        "pk",
        "title",
        "views",
        "created",
        "rating",
        "category__title",
        "tags",
        "missing",
        "pk__in",
        "text__regex",
    ]
)
CONDITIONS = st.builds("{}={}".format, FIELDS, WORDS) | WORDS


def run(command: Any, *arguments: str) -> None:
    """Run a command as from a command line, where what it says must be told in text."""
    with suppress(CommandError):
        call_command(command, *arguments, stdout=StringIO(), stderr=StringIO())


@pytest.fixture(autouse=True)
def _rows() -> None:
    post = Post.objects.create(title="p", category=Category.objects.create(title="c"))
    post.tags.add(Tag.objects.create(name="t"))


@quick
@given(
    names=st.lists(NAMES, min_size=1, max_size=3),
    database=st.none() | WORDS | st.sampled_from(["default", "other"]),
)
@example(names=["testapp.Tag." + "9" * 30], database=None)
@example(names=["testapp.Tag.\0"], database=None)
def test_invalidate_takes_anything(names: list[str], database: str | None) -> None:
    chosen = [] if database is None else [f"--database={database}"]
    run(invalidate.Command(), *chosen, "--", *names)


@quick
@given(directory=WORDS, size=st.none() | WORDS)
@example(directory="9" * 5000, size=None)
def test_cleanfilecache_takes_anything(directory: str, size: str | None, tmp_path: Any) -> None:
    chosen = [] if size is None else [f"--max-bytes={size}"]
    with override_settings(FILE_CACHE_DIR=tmp_path / "files"):
        # Below a folder of the test's own, wherever the name may lead from there.
        run(
            cleanfilecache.Command(),
            *chosen,
            "--",
            f"{tmp_path}/{directory.replace('..', '')}" if directory else "",
        )


@quick
@given(
    arguments=st.lists(
        WORDS | st.builds("--{}={}".format, st.sampled_from(["chunk-size", "timeout"]), WORDS), max_size=3
    )
)
def test_reapconjs_takes_anything(arguments: list[str]) -> None:
    run(reapconjs.Command(), *arguments)


@quick
@given(
    model=NAMES,
    filters=st.lists(CONDITIONS, max_size=2),
    excludes=st.lists(CONDITIONS, max_size=2),
    order=st.none() | WORDS | FIELDS,
    database=st.none() | WORDS | st.just("other"),
    op=st.sampled_from(["fetch", "count", "get", "exists"]),
)
def test_explain_takes_anything(
    model: str, filters: list[str], excludes: list[str], order: str | None, database: str | None, op: str
) -> None:
    options = (
        [f"--filter={one}" for one in filters] + [f"--exclude={one}" for one in excludes] + [f"--op={op}"]
    )
    options += [] if order is None else [f"--order-by={order}"]
    options += [] if database is None else [f"--database={database}"]
    run(cacheops.Command(), "explain", *options, "--", model)


@quick
@given(
    minutes=st.none() | WORDS,
    watch=st.none() | st.sampled_from(["nan", "inf", "-1", "0", "x", "1e-9"]),
    more=st.sets(st.sampled_from(["--all", "--queries", "--json"])),
)
@example(minutes=None, watch="nan", more=set())
def test_stats_takes_anything(minutes: str | None, watch: str | None, more: set[str]) -> None:
    options = [] if minutes is None else [f"--minutes={minutes}"]
    options += [] if watch is None else [f"--watch={watch}", "--times=2"]
    run(cacheops.Command(), "stats", *options, *sorted(more))


def test_a_server_that_is_away_is_told() -> None:
    with override_settings(CACHEOPS_REDIS="redis://127.0.0.1:1", CACHEOPS_CLUSTER=None):
        for names in (["all"], ["testapp"], [f"testapp.Tag.{Tag.objects.nocache().get().pk}"]):
            with pytest.raises(CommandError, match="could not be invalidated"):
                call_command(invalidate.Command(), *names)


def test_doctor_and_words_that_mean_nothing_end_in_an_answer() -> None:
    for arguments in (["doctor"], ["doctor", "--json"], [], ["nothing"], ["stats", "--times=-1"]):
        run(cacheops.Command(), *arguments)
