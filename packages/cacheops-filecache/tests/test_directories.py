"""A directory is made private, and refused if anybody else could write to it."""

# ruff: noqa: PTH208 - the names alone matter

import os
import stat

import pytest

from cacheops_core.errors import BackendError, ConfigurationError
from cacheops_filecache import FileCache


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_nothing_is_made_before_the_first_call(tmp_path):
    cache = FileCache(tmp_path / "cache")
    assert repr(cache) == f"FileCache({str(tmp_path / 'cache')!r})"
    assert os.listdir(tmp_path) == []


def test_a_directory_is_made_for_its_user_alone(tmp_path):
    old = os.umask(0)
    try:
        FileCache(tmp_path / "a" / "cache").set("key", 1)
    finally:
        os.umask(old)
    assert mode(tmp_path / "a") == 0o700
    assert mode(tmp_path / "a" / "cache") == 0o700
    assert {mode(file) for file in (tmp_path / "a" / "cache").iterdir()} == {0o600}


@pytest.mark.parametrize("others_may", [0o000, 0o055])
def test_a_directory_that_others_can_only_read_will_do(tmp_path, others_may):
    tmp_path.chmod(0o700 | others_may)
    cache = FileCache(tmp_path)
    cache.set("key", 1)
    assert cache.get("key") == 1


@pytest.mark.parametrize("others_may", [0o020, 0o002, 0o1777])
@pytest.mark.parametrize("use", [lambda cache: cache.get("key", None), lambda cache: cache.set("key", 1)])
def test_a_directory_that_others_can_write_to_is_refused(tmp_path, others_may, use):
    tmp_path.chmod(0o700 | others_may)
    with pytest.raises(ConfigurationError, match=r"is writable by others \(mode \d+\).*run chmod go-w"):
        use(FileCache(tmp_path))
    assert os.listdir(tmp_path) == []


def test_a_directory_that_could_be_replaced_is_refused(tmp_path):
    tmp_path.chmod(0o777)
    with pytest.raises(ConfigurationError, match="everybody could put another directory in its place"):
        FileCache(tmp_path / "cache").set("key", 1)
    tmp_path.chmod(0o1777)
    FileCache(tmp_path / "cache").set("key", 1)


def test_a_directory_of_somebody_else_is_refused(tmp_path, monkeypatch):
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    with pytest.raises(
        ConfigurationError, match=rf"belongs to user {me}, .*name another directory, or run as"
    ):
        FileCache(tmp_path).get("key", None)


def test_a_link_of_somebody_else_is_refused(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "link").symlink_to("mine")
    FileCache(tmp_path / "link").set("key", 1)
    real = os.lstat

    def lstat(path):
        status = list(real(path))
        status[stat.ST_UID] += 1
        return os.stat_result(status)

    monkeypatch.setattr(os, "lstat", lstat)
    with pytest.raises(ConfigurationError, match="belongs to user"):
        FileCache(tmp_path / "link").get("key", None)


def test_a_file_of_somebody_else_is_a_miss(tmp_path, monkeypatch):
    cache = FileCache(tmp_path)
    cache.set("key", 1)
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    assert cache.get("key", None) is None


@pytest.mark.parametrize("path", ["file", "file/cache"])
def test_a_file_in_the_way_is_an_error_that_says_so(tmp_path, path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"is or lies below a file .*: name a directory"):
        FileCache(tmp_path / path).set("key", 1)


def test_a_directory_that_cannot_be_made_costs_only_the_cache(tmp_path, monkeypatch, caplog):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    cache = FileCache(tmp_path / "cache")
    monkeypatch.setattr(os, "mkdir", refuse)
    assert cache.get("key", 5) == 5
    assert cache.cached(lambda: 3)() == 3
    assert cache.cached(lock=True)(lambda: 3)() == 3
    assert not cache.delete("key")
    assert not cache.touch("key")
    with pytest.raises(BackendError, match=r"there is no place for locks: .*Permission denied"):
        cache.incr("key")
    assert "nothing can be stored" in caplog.text


def test_the_home_directory_may_be_written_as_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert FileCache("~/cache").directory == str(tmp_path / "cache")
