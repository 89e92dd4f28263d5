"""What is no entry is a miss, and a write that fails leaves the old entry as it was."""

# These tests change and watch the very calls that the code makes.
# ruff: noqa: PTH105, PTH108, PTH116, PTH118, PTH119, PTH123, PTH208, PTH211

import errno
import os
import signal
import subprocess
import sys

import pytest

from cacheops_filecache import FileCache, entries, renames


@pytest.fixture
def cache(tmp_path):
    return FileCache(tmp_path / "cache", timeout=60)


@pytest.fixture(params=[{"a": [1, 2]}, b"raw bytes"], ids=["pickled", "raw"])
def path(cache, request):
    """The file of an entry."""
    cache.set("key", request.param)
    return file_of(cache)


def file_of(cache):
    (name,) = os.listdir(cache.directory)
    return os.path.join(cache.directory, name)


def rewrite(path, content):
    """Change a file's content and leave its expiry as it was."""
    times = os.stat(path)
    with open(path, "wb") as file:
        file.write(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def content_of(path):
    with open(path, "rb") as file:
        return file.read()


def test_a_read_that_comes_in_pieces_is_put_together(cache, monkeypatch):
    cache.set("key", bytes(range(256)) * 1000)
    real = os.read
    monkeypatch.setattr(os, "read", lambda file, size: real(file, min(size, 1000)))
    assert cache.get("key") == bytes(range(256)) * 1000


@pytest.mark.skipif(not hasattr(os, "O_NOATIME"), reason="only Linux lets a reader ask for it")
def test_reading_writes_no_time_of_reading(cache, path):
    expires = os.stat(path).st_mtime_ns
    os.utime(path, ns=(0, expires))
    assert cache.get("key")
    assert os.stat(path).st_atime_ns == 0


def test_any_changed_byte_is_a_miss(cache, path):
    content = content_of(path)
    for position in range(len(content)):
        rewrite(path, content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
        assert cache.get("key", None) is None, position
    rewrite(path, content)
    assert cache.get("key", None) is not None


def test_any_length_but_the_right_one_is_a_miss(cache, path):
    content = content_of(path)
    for length in range(len(content)):
        rewrite(path, content[:length])
        assert cache.get("key", None) is None, length
    rewrite(path, content + b"\0")
    assert cache.get("key", None) is None


@pytest.mark.parametrize("content", [b"", b"x" * 1000, b"\x80\x05K\x01.", bytes(1000)])
def test_a_foreign_file_is_a_miss_with_one_log_line(cache, path, content, caplog):
    rewrite(path, content)
    assert cache.get("key", None) is None
    assert len(caplog.records) == 1
    cache.set("key", 2)
    assert cache.get("key") == 2


def test_an_entry_under_the_name_of_another_is_a_miss(cache, path):
    cache.set("other", 1)
    (other,) = [name for name in os.listdir(cache.directory) if name != os.path.basename(path)]
    os.replace(path, os.path.join(cache.directory, other))
    assert cache.get("other", None) is None


FOREIGN = {"a folder": os.mkdir, "a pipe": os.mkfifo, "a link": lambda path: os.symlink("/etc/passwd", path)}


@pytest.mark.parametrize("make", FOREIGN.values(), ids=FOREIGN)
def test_what_is_not_a_file_is_a_miss(cache, path, make):
    os.unlink(path)
    make(path)
    assert cache.get("key", None) is None
    assert not cache.touch("none", 1)


def test_an_entry_of_another_version_is_a_miss(cache, path, monkeypatch):
    monkeypatch.setattr(entries, "_RAW", b"cof2raw\0")
    monkeypatch.setattr(entries, "_DUMPED", b"cof2dump")
    assert cache.get("key", None) is None


class Gone:
    """Pickled by name."""


def test_an_entry_of_a_class_that_is_gone_is_a_miss_with_one_log_line(cache, monkeypatch, caplog):
    cache.set("key", Gone())
    monkeypatch.delitem(globals(), "Gone")
    assert cache.get("key", None) is None
    assert len(caplog.records) == 1


def test_files_are_readable_by_their_owner_only(cache, path):
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert os.stat(cache.directory).st_mode & 0o777 == 0o700


@pytest.mark.parametrize("call", ["write", "utime", "open"])
def test_a_write_that_fails_leaves_the_old_value_and_one_warning(cache, path, call, monkeypatch, caplog):
    old = cache.get("key")

    def fail(*args, **kwargs):
        if call == "open" and not args[1] & os.O_CREAT:
            return real(*args, **kwargs)
        raise OSError(errno.ENOSPC, "No space left on device")

    real = getattr(os, call)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        assert cache.cached(lambda: 3)() == 3
        cache.set("key", 4)
    assert cache.get("key") == old
    assert [os.path.join(cache.directory, name) for name in os.listdir(cache.directory)] == [path]
    assert len(caplog.records) == 1
    assert "nothing can be stored, and old entries stay" in caplog.text
    cache.set("key", 5)
    assert cache.get("key") == 5


FULL = """
import resource, sys
from cacheops_filecache import FileCache
cache = FileCache(sys.argv[1])
cache.set("key", b"old")
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
double = cache.cached(lambda value: value * 2)
assert double(b"x" * 100_000) == b"x" * 200_000
cache.set("key", b"y" * 200_000)
assert cache.get("key") == b"old"
cache.set("small", 1)
assert cache.get("small") == 1
"""


def test_a_full_disk_costs_nothing_but_the_new_entry(tmp_path):
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", FULL, tmp_path / "cache"], env=env, capture_output=True, text=True, check=True
    )
    assert done.stderr.count("nothing can be stored") == 1
    assert {name.rpartition(".")[2] for name in os.listdir(tmp_path / "cache")} == {"entry"}


DYING = """
import os, signal, sys
from cacheops_filecache import FileCache, renames
cache = FileCache(sys.argv[1])
cache.set("key", "old")
module = renames if sys.argv[2] == "_exchange" else os
renames._has_exchange = sys.argv[2] != "replace"
real = getattr(module, sys.argv[2])
def die(*args, **kwargs):
    if sys.argv[3] == "after":
        real(*args, **kwargs)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(module, sys.argv[2], die)
cache.set("key", "new")
"""


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("call", ["write", "utime", "replace", "_exchange", "unlink", "close"])
def test_a_writer_that_is_killed_at_any_step_leaves_a_whole_value(tmp_path, call, when):
    cache = FileCache(tmp_path / "cache")
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", DYING, cache.directory, call, when], env=env, check=False)
    assert done.returncode == -signal.SIGKILL
    is_done = (call, when) in {("replace", "after"), ("_exchange", "after")} or call in {"unlink", "close"}
    assert cache.get("key") == ("new" if is_done else "old")
    cache.clean()
    assert len(os.listdir(cache.directory)) == 1


@pytest.mark.parametrize("has_exchange", [True, False])
def test_an_entry_is_replaced_with_and_without_an_exchange_of_names(cache, path, has_exchange, monkeypatch):
    monkeypatch.setattr(renames, "_has_exchange", has_exchange)
    cache.set("key", 1)
    cache.set("key", 2)
    assert cache.get("key") == 2
    assert file_of(cache) == path


def test_a_file_system_without_exchange_will_do(cache, path, monkeypatch):
    monkeypatch.setattr(renames, "_rename", lambda *args: -1)
    cache.set("key", 2)
    assert cache.get("key") == 2
    assert file_of(cache) == path


def test_a_failing_rename_leaves_the_old_value(cache, path, monkeypatch, caplog):
    def refuse(*args):
        raise OSError(errno.EIO, "Input/output error")

    old = cache.get("key")
    monkeypatch.setattr(renames, "_has_exchange", False)
    monkeypatch.setattr(os, "replace", refuse)
    cache.set("key", 2)
    assert cache.get("key") == old
    assert file_of(cache) == path
    assert len(caplog.records) == 1


def test_a_cleaner_that_takes_what_is_being_written_only_makes_it_be_written_again(cache, monkeypatch):
    real, taken = os.utime, []

    def take(file, **kwargs):
        real(file, **kwargs)
        if not taken:
            taken.extend(name for name in os.listdir(cache.directory) if name.endswith(".aside"))
            os.unlink(os.path.join(cache.directory, taken[0]))

    monkeypatch.setattr(os, "utime", take)
    cache.set("key", 1)
    assert taken
    assert cache.get("key") == 1


def test_children_write_under_names_of_their_own():
    mine = entries._unique()
    child = os.fork()
    if child == 0:
        os._exit(entries._unique().startswith(mine[:24]))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
