"""The project's file cache: functions and views in files, in the directory that the settings name."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory, override_settings

from cacheops import CacheMiss, FileCache, file_cache
from cacheops_core.errors import ConfigurationError

made: list[str] = []


@pytest.fixture(autouse=True)
def directory(tmp_path: Path) -> Iterator[Path]:
    made.clear()
    with override_settings(FILE_CACHE_DIR=str(tmp_path / "files"), FILE_CACHE_TIMEOUT=60):
        yield tmp_path / "files"


@file_cache.cached(timeout=60)
def doubled(number: int) -> int:
    made.append("doubled")
    return number * 2


@file_cache.cached(lock=True)
def locked() -> int:
    made.append("locked")
    return 1


@file_cache.cached_view(timeout=60)
def page(request: HttpRequest, number: int = 0) -> HttpResponse:
    made.append("page")
    return HttpResponse(f"{len(made)} {request.headers.get('X-Shop')}", headers={"Vary": "X-Shop"})


@file_cache.cached_view
async def apage(request: HttpRequest) -> HttpResponse:
    made.append("apage")
    return HttpResponse(str(len(made)), status=200 if request.GET else 404)


def test_values_are_in_the_directory_of_the_settings(directory: Path, tmp_path: Path) -> None:
    file_cache.set("key", [1, 2], timeout=None)
    assert file_cache.get("key") == [1, 2]
    assert len([*directory.iterdir()]) == 1
    with override_settings(FILE_CACHE_DIR=str(tmp_path / "others")), pytest.raises(CacheMiss):
        file_cache.get("key")
    file_cache.delete("key")
    assert file_cache.get("key", None) is None
    with file_cache.lock("job"):
        pass


def test_results_of_functions_are_kept_in_files() -> None:
    assert [doubled(2), doubled(2), locked(), locked()] == [4, 4, 1, 1]
    assert made == ["doubled", "locked"]
    doubled.key(2).set(5)
    assert doubled(2) == 5
    doubled.invalidate(2)
    assert doubled(2) == 4


def test_the_timeout_of_a_function_may_stand_alone() -> None:
    @file_cache.cached(0.5, "of three")
    def tripled(number: int) -> int:
        return number * 3

    assert tripled(2) == 6
    assert tripled.key(2).get() == 6


def test_answers_of_views_are_kept_in_files_and_by_what_they_vary_by() -> None:
    def ask(shop: str) -> bytes:
        return page(RequestFactory().get("/page", headers={"x-shop": shop}), number=1).content

    assert [ask("a") for _ in range(3)] == [b"1 a", b"2 a", b"2 a"]
    assert [ask("b") for _ in range(2)] == [b"3 b", b"3 b"]
    page.invalidate("http://testserver/page", 1)
    assert [ask("a") for _ in range(2)] == [b"4 a", b"4 a"]


def test_the_timeout_of_a_view_may_stand_alone_and_a_function_be_its_extra() -> None:
    @file_cache.cached_view(60, lambda request: request.tenant)
    def of_tenant(request: Any) -> HttpResponse:
        return HttpResponse(request.tenant)

    for tenant in ("a", "b", "a"):
        request: Any = RequestFactory().get("/tenant")
        request.tenant = tenant
        assert of_tenant(request).content == tenant.encode()


def test_async_views_are_kept_in_files() -> None:
    def ask(url: str) -> bytes:
        return bytes(asyncio.run(apage(RequestFactory().get(url))).content)

    assert [ask("/apage"), ask("/apage"), ask("/apage?a=1"), ask("/apage?a=1")] == [b"1", b"1", b"2", b"2"]
    asyncio.run(apage.ainvalidate("http://testserver/apage"))
    assert ask("/apage") == b"3"


def test_disabled_functions_and_views_run_each_time() -> None:
    with override_settings(CACHEOPS_ENABLED=False):
        for _ in range(2):
            doubled(2)
            locked()
            page(RequestFactory().get("/page"))
        with pytest.raises(CacheMiss):
            doubled.key(2).get()
    assert len(made) == 6
    doubled(2)
    assert len(made) == 7


def test_it_is_cleaned_by_a_command(directory: Path) -> None:
    file_cache.set("key", "value")
    out = StringIO()
    call_command("cleanfilecache", stdout=out)
    assert out.getvalue().startswith(f"{directory}: 0 files removed, 1 entries of")


def test_a_cache_may_have_a_directory_of_its_own(directory: Path, tmp_path: Path) -> None:
    reports = FileCache(str(tmp_path / "reports"))
    reports.set("key", 1)
    assert (reports.get("key"), file_cache.get("key", None)) == (1, None)
    assert not directory.exists() or not any(directory.iterdir())

    @reports.cached(timeout=60)
    def squared(number: int) -> int:
        made.append("squared")
        return number * number

    assert [squared(3), squared(3)] == [9, 9]
    with override_settings(CACHEOPS_ENABLED=False):
        assert squared(3) == 9
    assert made == ["squared", "squared"]


@pytest.mark.parametrize(
    "options, lives",
    [
        ({}, False),
        ({"timeout": None}, True),
        ({"timeout": timedelta(hours=1)}, True),
        ({"timeout": 0.01}, False),
    ],
    ids=["the setting", "for ever", "an hour", "its own"],
)
def test_its_timeout_is_that_of_the_settings_unless_it_has_its_own(
    tmp_path: Path, options: dict[str, Any], lives: bool
) -> None:
    cache = FileCache(tmp_path / "reports", **options)
    with override_settings(FILE_CACHE_TIMEOUT=0.01):
        cache.set("key", 1)
        (entry,) = (tmp_path / "reports").iterdir()
        assert (entry.stat().st_mtime > time.time() + 60) is lives


def test_a_timeout_that_is_none_is_refused_where_the_cache_is_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="timeout must be a number of seconds above 0"):
        FileCache(tmp_path, timeout=-1)


def test_a_command_cleans_several_directories(directory: Path, tmp_path: Path) -> None:
    file_cache.set("key", 1)
    FileCache(tmp_path / "reports").set("key", 1)
    out, err = StringIO(), StringIO()
    arguments = ["default", str(tmp_path / "missing"), str(tmp_path / "reports")]
    call_command("cleanfilecache", *arguments, stdout=out, stderr=err)
    assert [line.split(":")[0] for line in out.getvalue().splitlines()] == [
        str(directory),
        str(tmp_path / "reports"),
    ]
    assert "there is no directory" in err.getvalue()
