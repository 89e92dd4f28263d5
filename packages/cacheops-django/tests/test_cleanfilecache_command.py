"""`manage.py cleanfilecache`: the file cache's own cleaning, where the settings say or where it is told to."""

from __future__ import annotations

import sys
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from cacheops_core.errors import ConfigurationError


class Cleaned(NamedTuple):
    removed: int = 1200
    kept: int = 3
    kept_bytes: int = 4_500_000


class FileCache:
    """Stands in for the sibling, which this package's tests must do without."""

    def __init__(self, directory: Any, *, max_bytes: int | None) -> None:
        self.directory = f"{directory} of {max_bytes}"

    def clean(self) -> Cleaned:
        if "unsafe" in self.directory:
            raise ConfigurationError("somebody else can write there")
        return Cleaned()


@pytest.fixture(autouse=True)
def _file_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("cacheops_filecache")
    module.FileCache = FileCache  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cacheops_filecache", module)


def clean(*args: str, **options: Any) -> str:
    out = StringIO()
    call_command("cleanfilecache", *args, stdout=out, **options)
    return out.getvalue()


def test_it_cleans_where_the_settings_say(tmp_path: Path) -> None:
    with override_settings(FILE_CACHE_DIR=str(tmp_path)):
        assert clean() == f"{tmp_path} of None: 1,200 files removed, 3 entries of 4.5 MB kept\n"


def test_it_cleans_where_it_is_told_to_and_down_to_a_size(tmp_path: Path) -> None:
    assert clean(str(tmp_path), "--max-bytes=9").startswith(f"{tmp_path} of 9:")


def test_it_cleans_several_directories_and_that_of_the_settings_by_its_word(tmp_path: Path) -> None:
    with override_settings(FILE_CACHE_DIR=str(tmp_path / "files")):
        said = clean(str(tmp_path), "default").splitlines()
    assert [line.split(" of ")[0] for line in said] == [str(tmp_path), f"{tmp_path}/files"]


@pytest.mark.parametrize("name", ["missing", ""])
def test_a_directory_that_there_is_not_is_told_and_keeps_no_other_from_it(tmp_path: Path, name: str) -> None:
    missing = name and str(tmp_path / name)
    err = StringIO()
    assert clean(missing, str(tmp_path), stderr=err).startswith(f"{tmp_path} of")
    assert f"there is no directory {missing}: check its name" in err.getvalue()


def test_what_the_file_cache_refuses_is_told_when_the_others_are_clean(tmp_path: Path) -> None:
    (tmp_path / "unsafe").mkdir()
    out = StringIO()
    with pytest.raises(CommandError, match="somebody else can write there"):
        call_command("cleanfilecache", str(tmp_path / "unsafe"), str(tmp_path), stdout=out)
    assert out.getvalue().startswith(f"{tmp_path} of")


def test_without_a_file_cache_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cacheops_filecache", None)
    with pytest.raises(CommandError, match="pip install cacheops-filecache"):
        clean()
