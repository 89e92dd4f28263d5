"""The verbs: what is stored comes back, until it expires or is removed."""

# These tests change and watch the very calls that the code makes.
# ruff: noqa: PTH106, PTH108, PTH116, PTH118, PTH123, PTH208

import logging
import os
import pickle
import subprocess
import sys
import threading
import time
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cacheops_core.errors import CacheMiss, ConfigurationError
from cacheops_core.keys import stable_key
from cacheops_core.serializers import DumpError
from cacheops_core.signing import Signed
from cacheops_filecache import FileCache, file_cache
from cacheops_filecache.entries import ENTRY, read, write
from cacheops_filecache.locks import FileLock

LONG_AGO = (1, 1)


calls = []
"""What the cached functions below were called with. Global, as what a function closes over is part of its key."""


@pytest.fixture(autouse=True)
def _no_calls():
    calls.clear()


@pytest.fixture
def cache(tmp_path):
    return FileCache(tmp_path / "cache", timeout=60)


def files(cache):
    return sorted(os.listdir(cache.directory))


def expire(cache):
    for name in files(cache):
        os.utime(os.path.join(cache.directory, name), LONG_AGO)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(value=st.none() | st.binary() | st.text() | st.dictionaries(st.text(), st.floats(allow_nan=False)))
def test_what_is_stored_comes_back(cache, value):
    cache.set("key", value)
    assert cache.get("key") == value
    assert type(cache.get("key")) is type(value)


@pytest.mark.parametrize("size", [0, 1, 16_368, 16_369, 16_384, 16_385, 3_000_001])
def test_values_of_any_size_come_back(cache, size):
    cache.set("key", b"x" * size)
    assert cache.get("key") == b"x" * size


def test_what_is_not_there_is_a_miss(cache):
    with pytest.raises(CacheMiss) as caught:
        cache.get("key")
    assert caught.value.args == ("key",)
    assert cache.get("key", None) is None


def test_keys_are_typed_and_need_not_be_text(cache):
    keys = [1, "1", 1.0, True, (1,), {"a": 1}, b"1", None]
    for position, key in enumerate(keys):
        cache.set(key, position)
    assert [cache.get(key) for key in keys] == list(range(len(keys)))


def test_a_value_is_shared_by_caches_of_one_directory_and_no_other(cache, tmp_path):
    cache.set("key", 1)
    assert FileCache(tmp_path / "cache").get("key") == 1
    assert FileCache(tmp_path / "other").get("key", None) is None


def test_an_expired_value_is_a_miss(cache):
    cache.set("key", 1)
    expire(cache)
    assert cache.get("key", None) is None


@pytest.mark.parametrize("timeout", [100, 100.0, timedelta(seconds=100)])
def test_the_expiry_is_the_time_of_modification(cache, timeout):
    cache.set("key", 1, timeout)
    (name,) = files(cache)
    assert os.stat(os.path.join(cache.directory, name)).st_mtime == pytest.approx(time.time() + 100, abs=5)


def test_none_is_for_ever(cache):
    cache.set("key", 1, timeout=None)
    (name,) = files(cache)
    assert os.stat(os.path.join(cache.directory, name)).st_mtime > time.time() + 1e9
    assert cache.get("key") == 1


def test_timeouts_end(cache):
    cache.set("key", 1, timeout=0.001)
    deadline = time.monotonic() + 5
    while cache.get("key", None) is not None:
        assert time.monotonic() < deadline


def test_many_are_read_and_written_at_once(cache):
    cache.set_many({"a": 1, "b": None})
    assert cache.get_many(["a", "b", "c"]) == {"a": 1, "b": None}


def test_delete_says_whether_there_was_something(cache):
    cache.set("key", 1)
    assert (cache.delete("key"), cache.delete("key")) == (True, False)


def test_add_stores_only_where_nothing_fresh_is(cache):
    assert (cache.add("key", 1), cache.add("key", 2), cache.get("key")) == (True, False, 1)
    expire(cache)
    assert (cache.add("key", 3), cache.get("key")) == (True, 3)


def test_incr_counts_and_keeps_the_expiry(cache):
    assert (cache.incr("key", timeout=100), cache.incr("key", 5), cache.incr("key", -2)) == (1, 6, 4)
    name = next(name for name in files(cache) if name.endswith(".entry"))
    assert os.stat(os.path.join(cache.directory, name)).st_mtime == pytest.approx(time.time() + 100, abs=5)


def test_incr_of_something_else_is_refused(cache):
    cache.set("key", "text")
    with pytest.raises(ConfigurationError, match="incr needs a whole number under 'key', got str"):
        cache.incr("key")


def test_touch_moves_the_expiry_of_what_is_fresh(cache):
    assert not cache.touch("key", 10)
    cache.set("key", 1)
    assert cache.touch("key", 1000)
    (name,) = files(cache)
    assert os.stat(os.path.join(cache.directory, name)).st_mtime > time.time() + 900
    expire(cache)
    assert not cache.touch("key", 10)
    assert cache.get("key", None) is None


def test_invalidate_all_leaves_files_of_others(cache):
    cache.set_many({"a": 1, "b": 2})
    for name in ("notes.txt", "x.entry", "a" * 32 + ".entry.bak"):
        with open(os.path.join(cache.directory, name), "w"):
            pass
    cache.invalidate_all()
    assert files(cache) == sorted(["notes.txt", "x.entry", "a" * 32 + ".entry.bak"])


def test_a_directory_that_was_removed_comes_back(cache):
    cache.set("key", 1)
    for name in files(cache):
        os.unlink(os.path.join(cache.directory, name))
    os.rmdir(cache.directory)
    assert cache.get("key", None) is None
    cache.set("key", 2)
    assert cache.get("key") == 2


# -- serializers ------------------------------------------------------------------------------------


def test_json_is_stored_as_json(tmp_path):
    cache = FileCache(tmp_path, serializer="json")
    cache.set("key", {"a": [1]})
    (name,) = files(cache)
    assert (tmp_path / name).read_bytes().endswith(b'{"a":[1]}')
    assert cache.get("key") == {"a": [1]}


class Upper:
    def dumps(self, value):
        return value.upper()

    def loads(self, payload):
        return payload.lower()


def test_another_serializer_is_never_passed_by(tmp_path):
    FileCache(tmp_path).set("raw", b"plain")
    cache = FileCache(tmp_path, serializer=Upper)
    cache.set("key", b"text")
    assert b"TEXT" in b"".join((tmp_path / name).read_bytes() for name in files(cache))
    assert cache.get("key") == b"text"
    assert cache.get("raw", None) is None


def test_an_entry_of_another_serializer_is_a_miss(cache, tmp_path):
    cache.set("key", {1})
    assert FileCache(tmp_path / "cache", serializer="json").get("key", None) is None


def forge(cache, key, payload, is_raw=False):
    """Store bytes under a key as somebody would who knows how files are written, but no secret."""
    digest = stable_key(key)
    path = os.path.join(cache.directory, digest.hex() + ENTRY)
    write(path, digest, payload, is_raw, time.time_ns() + 10**11)


def stored_payload(cache, key):
    digest = stable_key(key)
    return read(os.path.join(cache.directory, digest.hex() + ENTRY), digest)[0]


def test_signed_values_come_back_and_those_of_strangers_do_not(tmp_path):
    cache = FileCache(tmp_path, serializer=Signed("pickle", "a key of the project"))
    cache.set_many({"text": "own", "bytes": b"own"})
    assert cache.get_many(["text", "bytes"]) == {"text": "own", "bytes": b"own"}
    forge(cache, "text", pickle.dumps("forged"))
    forge(cache, "bytes", b"forged", is_raw=True)
    assert cache.get_many(["text", "bytes"]) == {}


def test_a_signed_value_under_another_key_is_a_miss(tmp_path):
    cache = FileCache(tmp_path, serializer=Signed("pickle", "a key of the project"))
    cache.set_many({"mine": 1, "yours": 2})
    forge(cache, "mine", stored_payload(cache, "mine"))
    forge(cache, "yours", stored_payload(cache, "mine"))
    assert cache.get_many(["mine", "yours"]) == {"mine": 1}


def test_what_does_not_serialize_is_an_error_and_the_old_value_stays(cache):
    cache.set("key", 1)
    with pytest.raises(DumpError):
        cache.set("key", threading.Lock())
    assert cache.get("key") == 1


# -- functions --------------------------------------------------------------------------------------


def test_a_function_is_computed_once(cache):
    @cache.cached(timeout=30)
    def square(number):
        calls.append(number)
        return number**2

    assert [square(2), square(number=2), square(3)] == [4, 4, 9]
    assert calls == [2, 3]
    square.invalidate(2)
    assert square.key(3).get() == 9
    assert square(2) == 4
    assert calls == [2, 3, 2]


def test_the_decorator_is_written_in_three_ways(cache):
    def one():
        return 1

    assert [cache.cached(one)(), cache.cached()(one)(), cache.cached(60)(one)()] == [1, 1, 1]
    assert len(files(cache)) == 1


def test_extra_may_come_after_the_timeout(cache):
    def one():
        return 1

    assert [cache.cached(60, extra)(one)() for extra in ("a", "a", "b")] == [1, 1, 1]
    assert len(files(cache)) == 2


def test_a_wrong_timeout_is_refused_where_it_is_written(cache):
    with pytest.raises(ConfigurationError, match="timeout must be"):
        cache.cached(timeout=-1)
    with pytest.raises(ConfigurationError, match="timeout must be"):
        cache.set("key", 1, timeout="soon")
    with pytest.raises(
        ConfigurationError, match=r"max_bytes must be a positive whole number or None, got 1\.5"
    ):
        FileCache(max_bytes=1.5)


def test_with_a_lock_many_threads_compute_once(cache):
    barrier = threading.Barrier(20)

    @cache.cached(lock=True)
    def slow():
        calls.append(1)
        time.sleep(0.05)  # the time that the work takes
        return "value"

    def call():
        barrier.wait()
        results.append(slow())

    results = []
    threads = [threading.Thread(target=call) for _ in range(20)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert (len(calls), results) == (1, ["value"] * 20)


first_is_computing = threading.Event()
first_may_fail = threading.Event()
all_who_waited = threading.Barrier(5)


def fail():
    calls.append(1)
    if len(calls) == 1:
        first_is_computing.set()
        assert first_may_fail.wait(20)
        raise ValueError("first")
    all_who_waited.wait(20)  # passes only if the five who have waited compute at the same time
    raise ValueError("later")


def test_who_waited_for_a_failure_does_not_queue_for_another(cache, monkeypatch):
    def acquire(self, blocking=True):
        if blocking:
            waiting.release()
        return real(self, blocking)

    def call():
        try:
            failing()
        except ValueError as error:
            errors.append(str(error))

    real, waiting = FileLock.acquire, threading.Semaphore(0)
    monkeypatch.setattr(FileLock, "acquire", acquire)
    failing, errors = cache.cached(lock=True)(fail), []
    threads = [threading.Thread(target=call) for _ in range(6)]
    threads[0].start()
    assert first_is_computing.wait(20)
    [thread.start() for thread in threads[1:]]
    assert all(waiting.acquire(timeout=20) for _ in threads[1:])
    first_may_fail.set()
    [thread.join() for thread in threads]
    assert sorted(errors) == ["first", *["later"] * 5]


def test_a_locked_function_may_call_itself_with_the_same_arguments(cache):
    @cache.cached(lock=True)
    def nested():
        calls.append(1)
        return nested() if len(calls) < 3 else "end"

    assert nested() == "end"


def test_a_function_is_computed_without_a_lock_where_none_can_be_made(cache, monkeypatch, caplog):
    def refuse(self, blocking=True):
        raise PermissionError("no locks here")

    monkeypatch.setattr("cacheops_filecache.locks.FileLock.acquire", refuse)
    assert cache.cached(lock=True)(lambda: 1)() == 1
    assert "computing without a lock: no locks here" in caplog.text


def test_results_that_do_not_serialize_are_returned_with_one_warning(cache, caplog):
    with caplog.at_level(logging.WARNING, logger="cacheops"):
        for lock in (True, False):
            make = cache.cached(lock=lock)(lambda number: threading.Lock())
            assert make(1) is not make(2)
    assert len(caplog.records) == 2


def test_dependencies_are_refused(cache):
    with pytest.raises(ConfigurationError, match="a file cache cannot follow"):
        cache.get_or_compute("key", {"product": [{"id": 1}]}, int)
    assert cache.get_or_compute("key", {}, int) == 0


def test_a_lock_lets_one_in_at_a_time(cache):
    inside = []

    def enter():
        with cache.lock("name", timeout=5):
            inside.append(1)
            assert len(inside) == 1
            inside.pop()

    threads = [threading.Thread(target=enter) for _ in range(5)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]


# -- the package ------------------------------------------------------------------------------------

NOT_NEEDED = {
    "redis",
    "funcy",
    "django",
    "jinja2",
    "filelock",
    "platformdirs",
    "logging",
    "inspect",
    "asyncio",
}


def test_importing_and_using_it_imports_no_more_than_needed(tmp_path):
    program = (
        "import sys; before = set(sys.modules); from cacheops_filecache import FileCache\n"
        "cache = FileCache(sys.argv[1]); cache.set('a', 1); cache.get('a')\n"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    )
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    output = subprocess.check_output([sys.executable, "-c", program, tmp_path / "cache"], env=env, text=True)
    assert not NOT_NEEDED & set(output.split())


def test_a_locked_and_cleaned_cache_imports_no_redis(tmp_path):
    program = (
        "import sys; from cacheops_filecache import FileCache\n"
        "cache = FileCache(sys.argv[1]); cache.cached(lock=True)(int)(1); cache.incr('n'); cache.clean()\n"
        "print('redis' in sys.modules)"
    )
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    output = subprocess.check_output([sys.executable, "-c", program, tmp_path / "cache"], env=env, text=True)
    assert output == "False\n"


def test_the_default_cache_lies_in_the_folder_of_the_user(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert FileCache().directory == str(tmp_path / "cacheops" / "files")
    assert isinstance(file_cache, FileCache)
