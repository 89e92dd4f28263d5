"""Cleaning removes what is dead and nothing else, also beside other cleaners, and says what it did."""

# ruff: noqa: PTH118, PTH208 - the names alone matter

import os
import pty
import subprocess
import sys
import threading
import time

import pytest

from cacheops_filecache import FileCache, cleaning, entries
from cacheops_filecache.__main__ import main
from cacheops_filecache.cleaning import Cleaned


@pytest.fixture
def cache(tmp_path):
    return FileCache(tmp_path / "cache")


def age(cache, names, changed=1):
    for name in names:
        os.utime(os.path.join(cache.directory, name), (changed, changed))


def test_expired_entries_go_and_fresh_ones_stay(cache):
    cache.set_many({"old": 1, "older": 2})
    age(cache, os.listdir(cache.directory))
    cache.set("new", 3)
    cleaned = cache.clean()
    assert (cleaned.seen, cleaned.removed, cleaned.kept) == (3, 2, 1)
    assert cleaned.kept_bytes == 16 + 5
    assert cache.get("new") == 3


def test_files_of_others_stay(cache):
    names = ["notes.txt", "x.aside", "0" * 24 + "-1.aside~", "a.lock", ".entry"]
    for name in names:
        open(os.path.join(cache.directory, name), "w").close()  # noqa: PTH123
    age(cache, names)
    assert cache.clean() == Cleaned(0, 0, 0, 0)
    assert sorted(os.listdir(cache.directory)) == sorted(names)


def test_what_is_being_written_stays(cache, monkeypatch):
    real, seen = entries.put, []

    def put(*args):
        seen.append(cache.clean())
        real(*args)

    monkeypatch.setattr(entries, "put", put)
    cache.set("key", 1)
    assert seen == [Cleaned(1, 0, 0, 0)]
    assert cache.get("key") == 1


def test_idle_locks_go_and_held_ones_stay(cache, monkeypatch):
    monkeypatch.setattr(cleaning, "_LOCK_SECONDS", -1)
    cache.incr("number")
    with cache.lock("held"):
        assert cache.clean().removed == 1
        (lock,) = [name for name in os.listdir(cache.directory) if name.endswith(".lock")]
    assert cache.clean().removed == 1
    with cache.lock("held"):
        assert lock in os.listdir(cache.directory)


def test_a_lock_that_was_just_used_stays(cache):
    cache.incr("number")
    assert cache.clean().removed == 0


def test_a_waiter_whose_lock_file_was_removed_does_not_enter_beside_another(cache, monkeypatch):
    monkeypatch.setattr(cleaning, "_LOCK_SECONDS", -1)
    inside, most = [], []

    def enter():
        for _ in range(20):
            with cache.lock("name"):
                inside.append(1)
                most.append(len(inside))
                inside.pop()
            cache.clean()

    threads = [threading.Thread(target=enter) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert max(most) == 1
    assert len(most) == 80


def test_beyond_max_bytes_the_least_recently_written_go(tmp_path):
    cache = FileCache(tmp_path, max_bytes=2500)
    for key in "abcd":
        cache.set(key, b"x" * 1000)
        until_the_clock_of_the_file_system_ticks(tmp_path)
    cache.set("a", b"y" * 1000)
    cleaned = cache.clean()
    assert cache.get_many("abcd").keys() == {"a", "d"}
    assert (cleaned.removed, cleaned.kept, cleaned.kept_bytes) == (2, 2, 2 * 1016)
    assert cache.clean().removed == 0


def until_the_clock_of_the_file_system_ticks(directory):
    probe = directory / "probe"
    probe.touch()
    before = probe.stat().st_ctime_ns
    deadline = time.monotonic() + 10
    while probe.stat().st_ctime_ns == before and time.monotonic() < deadline:
        probe.touch()


def test_many_cleaners_agree(cache):
    cache.set_many({key: key for key in range(300)})
    age(cache, os.listdir(cache.directory))
    cache.set_many({key: key for key in range(100)})
    done = []
    threads = [threading.Thread(target=lambda: done.append(cache.clean())) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(done) == 4
    assert len(cache.get_many(range(300))) == 100
    assert len(os.listdir(cache.directory)) == 100


def test_a_directory_that_is_gone_is_clean(cache, tmp_path):
    cache.set("key", 1)
    assert cleaning.clean(str(tmp_path / "nowhere")) == Cleaned(0, 0, 0, 0)


# -- the command line -------------------------------------------------------------------------------


def test_the_command_cleans_and_says_what_it_did(cache, capsys):
    cache.set_many({"old": 1, "new": 2})
    age(cache, os.listdir(cache.directory)[:1])
    assert main(["clean", cache.directory]) == 0
    said = capsys.readouterr()
    assert said.out == f"{cache.directory}: 1 files removed, 1 entries of 0.0 MB kept\n"
    assert said.err == ""


def test_the_command_cleans_the_default_directory(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert main(["clean"]) == 0
    assert str(tmp_path / "cacheops" / "files") in capsys.readouterr().out


@pytest.mark.parametrize("size, kept", [("1G", 3), ("2K", 2), ("1500", 1)])
def test_the_command_shrinks_to_a_size(cache, size, kept):
    cache.set_many(dict.fromkeys("abc", b"x" * 900))
    assert main(["clean", cache.directory, "--max-bytes", size]) == 0
    assert len(cache.get_many("abc")) == kept


@pytest.mark.parametrize("size", ["", "K", "0", "-1", "1.5G", "2X"])
def test_a_wrong_size_is_refused(size, capsys):
    with pytest.raises(SystemExit):
        main(["clean", f"--max-bytes={size}"])
    assert "expected a size as 1000000, 500M or 2G" in capsys.readouterr().err


def test_the_command_makes_no_directory_and_refuses_a_hostile_one(tmp_path, capsys):
    assert main(["clean", str(tmp_path / "typo")]) == 1
    tmp_path.chmod(0o777)
    assert main(["clean", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert f"there is no directory {tmp_path / 'typo'}: check its name" in said
    assert "run chmod go-w" in said
    assert list(tmp_path.iterdir()) == []


def test_the_module_runs_and_shows_progress_on_a_terminal(cache):
    cache.set("key", 1)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "cacheops_filecache", "clean", cache.directory]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=theirs, text=True, check=True)
    assert "1 entries of 0.0 MB kept" in done.stdout
    assert os.read(ours, 1000) == b"\r1 files seen, 0 removed\r\x1b[K"
    os.close(ours), os.close(theirs)
