"""Transactions of every kind: what is committed is dropped; what is rolled back is not, nor is it ever stored."""

import struct
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from answers import answer, is_cached, is_right, keep, queries
from closing import close
from django.db import IntegrityError, OperationalError, connection, transaction
from numbering import go_on_counting
from testapp.models import Category, Club, Post, Tag

from cacheops_core.cache import Cache
from cacheops_core.errors import BackendError
from cacheops_core.stamps import GENERATION, NONCE
from cacheops_core.testing import count_round_trips
from cacheops_django import caches, plans, reasons, transactions
from cacheops_django.invalidation import invalidate_obj

pytestmark = pytest.mark.django_db(transaction=True)

# Django 6.1 has another name for it.
savepoint = getattr(transaction, "savepoint_create", None) or transaction.savepoint
IS_READ_COMMITTED = connection.vendor != "sqlite"


@pytest.fixture(autouse=True)
def _rows() -> None:
    """Make two tags, and have what is asked of each cached."""
    for number in (1, 2):
        Tag.objects.create(pk=number, name=f"t{number}")
    go_on_counting()
    keep(one)
    keep(two)


def one() -> Tag:
    return Tag.objects.get(pk=1)


def two() -> Tag:
    return Tag.objects.get(pk=2)


def clubs() -> list[Club]:
    return list(Club.objects.all())


def rename(pk: int = 1, name: str = "new") -> None:
    Tag(pk=pk, name=name).save()


def is_settled() -> bool:
    """Tell whether nothing is left of a transaction, and everything can be cached again."""
    work = transactions.work_of(connection)
    for ask in (one, two, clubs):
        keep(ask)
    is_clear = not work.unit.changes and not work.written.changes and work.snapshot is None
    return is_clear and not transactions.is_anybody_writing()


# Committed


@contextmanager
def nested() -> Iterator[None]:
    with transaction.atomic(), transaction.atomic():
        yield


@contextmanager
def nested_without_savepoint() -> Iterator[None]:
    with transaction.atomic(), transaction.atomic(savepoint=False):
        yield


@contextmanager
def manual() -> Iterator[None]:
    transaction.set_autocommit(False)
    try:
        yield
        transaction.commit()
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)


@contextmanager
def turned_on_again() -> Iterator[None]:
    transaction.set_autocommit(False)
    try:
        yield
    finally:
        transaction.set_autocommit(True)


@contextmanager
def atomic_in_manual() -> Iterator[None]:
    with manual(), transaction.atomic():
        yield


@contextmanager
def autocommit() -> Iterator[None]:
    yield


@contextmanager
def by_statements() -> Iterator[None]:
    """Begin and end as Django does not know of."""
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        try:
            yield
            cursor.execute("COMMIT")
        except BaseException:
            cursor.execute("ROLLBACK")
            raise


COMMITTING = {
    "autocommit": autocommit,
    "atomic": transaction.atomic,
    "nested": nested,
    "nested without a savepoint": nested_without_savepoint,
    "durable": lambda: transaction.atomic(durable=True),
    "by hand": manual,
    "atomic by hand": atomic_in_manual,
    "by statements": by_statements,
}
if connection.vendor != "postgresql":
    # psycopg refuses to do so in the middle of a transaction.
    COMMITTING["autocommit turned on again"] = turned_on_again
committing = pytest.mark.parametrize("begin", COMMITTING.values(), ids=COMMITTING)


@committing
def test_what_is_committed_is_dropped(begin: Callable[[], Any]) -> None:
    with begin():
        rename()
    assert is_cached(two)
    assert not is_cached(one)
    assert one().name == "new"
    assert is_settled()


@committing
def test_what_is_committed_after_an_update_that_drops_nothing_leaves_nothing_behind(
    begin: Callable[[], Any],
) -> None:
    with begin():
        Tag.objects.filter(pk=1).update(name="new")
    assert is_settled()


@committing
def test_what_only_reads_leaves_nothing_behind(begin: Callable[[], Any]) -> None:
    with begin():
        answer(one)
        answer(clubs)
    assert is_settled()


BEGINNINGS = ["BEGIN", "begin;", "/* by hand */ BEGIN"]
ENDINGS = ["COMMIT", "commit;", "-- by hand\nCOMMIT"]
if connection.vendor != "mysql":
    ENDINGS += ["END", "COMMIT TRANSACTION"]
else:
    # Its drivers do not tell whether a transaction is open.
    BEGINNINGS, ENDINGS = (
        ["BEGIN", "START TRANSACTION"],
        ["COMMIT", "commit;", "DROP TABLE IF EXISTS nothing"],
    )


@pytest.mark.parametrize("end", ENDINGS)
@pytest.mark.parametrize("begin", BEGINNINGS)
def test_statements_begin_and_end_a_transaction(begin: str, end: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(begin)
        rename()
        assert transactions.is_anybody_writing()
        cursor.execute(end)
    assert is_cached(two)
    assert one().name == "new"
    assert is_settled()


@pytest.mark.parametrize(
    "end", ["ROLLBACK", "rollback;", "/* by hand */ ROLLBACK"][: 2 if connection.vendor == "mysql" else 3]
)
def test_statements_roll_back(end: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        rename()
        cursor.execute(end)
    assert one().name == "t1"
    assert is_settled()


@pytest.mark.parametrize(
    "statement", ["CREATE TEMPORARY TABLE passing (a int)", "DROP TEMPORARY TABLE passing"]
)
def test_a_temporary_table_ends_no_transaction_in_mysql(statement: str) -> None:
    assert not transactions.COMMITS_IN_MYSQL.match(statement)
    assert transactions.COMMITS_IN_MYSQL.match(statement.replace("TEMPORARY ", ""))


def test_old_values_are_read_in_a_transaction_that_a_statement_has_begun() -> None:
    keep(lambda: list(Tag.objects.filter(name="t1")))
    connection.__dict__.pop("_cacheops_statements", None)
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        rename()
        Tag.objects.filter(name="t2").invalidated_update(name="again")
        cursor.execute("COMMIT")
    assert list(Tag.objects.filter(name="t1")) == []
    assert connection.get_autocommit()


@pytest.mark.skipif(connection.vendor != "postgresql", reason="other drivers take one statement at a time")
def test_what_was_read_before_a_commit_that_is_not_recognized_is_not_served_after_it() -> None:
    cache, found = caches.current(), plans.depends(Tag.objects.filter(pk=1))[1]
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        rename()
        # Another process reads the old row, and stores it when all is over.
        lookup = cache.fetch(b"reader", found)
        assert lookup.head is not None
        cursor.execute("SELECT 1; COMMIT")
    cache.fill(lookup, "old")
    assert not cache.fetch(b"reader", found).is_hit
    assert one().name == "new"
    assert is_settled()


def test_a_transaction_of_manual_mode_may_end_by_a_statement() -> None:
    transaction.set_autocommit(False)
    try:
        rename()
        with connection.cursor() as cursor:
            cursor.execute("COMMIT")
        assert one().name == "new"
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)
    assert is_settled()


@pytest.mark.skipif(connection.vendor == "mysql", reason="MariaDB defers no constraint")
def test_a_commit_by_a_statement_that_is_refused_leaves_nothing_behind() -> None:
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        rename()
        Post(title="of nothing", category_id=12345).save()
        with pytest.raises(IntegrityError):
            cursor.execute("COMMIT")
        if connection.vendor == "sqlite":
            # PostgreSQL has rolled back by then.
            cursor.execute("ROLLBACK")
    assert one().name == "t1"
    assert is_settled()


# Rolled back


class Regret(Exception):
    pass


def regretting(begin: Callable[[], Any], write: Callable[[], Any] = rename) -> None:
    with begin():
        write()
        raise Regret


def raising(begin: Callable[[], Any], write: Callable[[], Any] = rename) -> None:
    with pytest.raises(Regret):
        regretting(begin, write)


def set_rollback() -> None:
    with transaction.atomic():
        rename()
        transaction.set_rollback(True)


def by_hand() -> None:
    transaction.set_autocommit(False)
    rename()
    transaction.rollback()
    transaction.set_autocommit(True)


def by_a_lost_connection() -> None:
    with transaction.atomic():
        rename()
        connection.close()


ROLLING_BACK = {
    "an exception in atomic": lambda: raising(transaction.atomic),
    "an exception in a nested one": lambda: raising(nested),
    "an exception in one without a savepoint": lambda: raising(nested_without_savepoint),
    "an exception in a durable one": lambda: raising(lambda: transaction.atomic(durable=True)),
    "an exception by hand": lambda: raising(manual),
    "an exception by statements": lambda: raising(by_statements),
    "set_rollback": set_rollback,
    "by hand": by_hand,
}
if connection.vendor != "sqlite":
    # SQLite's database of the tests would be gone with its connection.
    ROLLING_BACK["a lost connection"] = by_a_lost_connection


@pytest.mark.parametrize("roll_back", ROLLING_BACK.values(), ids=ROLLING_BACK)
def test_what_is_rolled_back_is_not_dropped(roll_back: Callable[[], None]) -> None:
    roll_back()
    assert is_cached(one)
    assert one().name == "t1"
    assert is_settled()


def test_a_savepoint_that_is_rolled_back_takes_its_part_with_it() -> None:
    with transaction.atomic():
        rename(1)
        raising(transaction.atomic, lambda: rename(2))
    assert is_cached(two)
    assert one().name == "new"
    assert is_right(two)


def test_a_savepoint_that_is_rolled_back_keeps_what_was_before_and_comes_after() -> None:
    Tag.objects.create(pk=3, name="t3")
    keep(lambda: Tag.objects.get(pk=3))
    with transaction.atomic():
        rename(1)
        outer = savepoint()
        rename(2)
        inner = savepoint()
        rename(2, "again")
        transaction.savepoint_commit(inner)
        transaction.savepoint_rollback(outer)
        rename(3)
    assert is_cached(two)
    assert [Tag.objects.get(pk=pk).name for pk in (1, 2, 3)] == ["new", "t2", "new"]


def test_a_table_is_asked_for_in_the_cache_again_once_its_savepoint_is_rolled_back() -> None:
    with transaction.atomic():
        raising(transaction.atomic)
        assert is_cached(one)


def test_an_atomic_that_fails_to_enter_leaves_nothing_behind() -> None:
    with transaction.atomic():
        rename()
        with pytest.raises(RuntimeError), transaction.atomic(durable=True):
            pass
    assert one().name == "new"
    assert is_settled()


# Inside


def test_a_table_that_is_written_is_read_past_the_cache() -> None:
    with transaction.atomic():
        rename()
        assert one().name == "new"
        assert queries(two) == queries(two) == 1
        assert queries(lambda: Post.objects.filter(tags__name="new").count()) == 1


@pytest.mark.parametrize(
    "write",
    [
        rename,
        lambda: Tag.objects.filter(pk=1).update(name="new"),
        lambda: Tag.objects.filter(pk=1).delete(),
        lambda: Tag.objects.bulk_create([Tag(name="new")]),
        lambda: connection.cursor().execute("UPDATE testapp_tag SET name = 'new'"),
    ],
    ids=["save", "update", "delete", "bulk_create", "raw SQL"],
)
def test_somebody_is_writing_from_the_first_write_to_the_end(write: Callable[[], Any]) -> None:
    with transaction.atomic():
        assert not transactions.is_anybody_writing()
        write()
        assert transactions.is_anybody_writing()
        with transaction.atomic():
            assert transactions.is_anybody_writing()
        assert transactions.is_anybody_writing()
    assert not transactions.is_anybody_writing()


def test_what_another_thread_writes_makes_nobody_read_past_the_cache() -> None:
    with transaction.atomic():
        rename()
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(transactions.is_anybody_writing).result()
            assert not pool.submit(_touches_tags).result()


def _touches_tags() -> bool:
    try:
        return transactions.work_of(connection).touches(["testapp_tag"])
    finally:
        close()


def test_a_table_that_is_not_written_keeps_hitting() -> None:
    keep(clubs)
    with transaction.atomic():
        rename()
        assert is_cached(clubs)


def test_what_a_transaction_reads_of_its_own_writes_is_never_stored() -> None:
    def write_and_read() -> None:
        rename()
        answer(one)
        answer(lambda: Tag.objects.filter(name="new").count())

    raising(transaction.atomic, write_and_read)
    assert one().name == "t1"
    assert Tag.objects.filter(name="new").count() == 0


def test_raw_sql_that_writes_sends_the_whole_connection_past_the_cache() -> None:
    keep(clubs)
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("UPDATE testapp_tag SET name = 'raw' WHERE id = 1")
        assert one().name == "raw"
        assert queries(clubs) == queries(clubs) == 1
    assert is_cached(clubs)


def test_raw_sql_that_reads_changes_nothing() -> None:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT name FROM testapp_tag")
        assert is_cached(one)


def test_hooks_run_when_everything_is_released() -> None:
    found: list[Any] = []
    with transaction.atomic():
        rename()
        transaction.on_commit(lambda: found.append((one().name, is_cached(one))))
    assert found == [("new", True)]


def test_hooks_may_write_for_themselves() -> None:
    with transaction.atomic():
        rename(1)
        transaction.on_commit(lambda: rename(2))
    assert one().name == two().name == "new"


# Snapshots


@contextmanager
def repeatable_read() -> Iterator[None]:
    """Begin a transaction all of whose reads see the database as of the first."""
    statement = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"
    if connection.vendor == "mysql":
        connection.cursor().execute(statement)
    with transaction.atomic():
        if connection.vendor == "postgresql":
            connection.cursor().execute(statement)
        yield


def somebody_writes(table: str) -> None:
    """Do to the cache what a process does that commits a change of a table."""
    caches.current().invalidate(table)


def test_a_snapshot_is_not_stored_under_stamps_that_are_younger() -> None:
    with repeatable_read():
        Tag.objects.nocache().get(pk=1)
        somebody_writes("testapp_club")
        answer(clubs)
        assert any("older rows" in reason for *_, reason in reasons.bypasses)
    assert not is_cached(clubs)


def set_births_back(table: str) -> None:
    """Let the stamps of a table be those that were born after the server's clock had been set back."""
    client = caches.current().driver.client
    for key in [*client.scan_iter(match=f"*c:{{{table}}}:*")]:
        generation, birth, drawn = struct.unpack(f">{GENERATION}sQ{NONCE}s", client.get(key))
        client.set(key, struct.pack(f">{GENERATION}sQ{NONCE}s", generation, birth - 3600 * 1_000_000, drawn))


def test_a_snapshot_is_not_stored_under_stamps_that_are_younger_and_look_older() -> None:
    with repeatable_read():
        Tag.objects.nocache().get(pk=1)
        somebody_writes("testapp_club")
        answer(clubs)  # acquires stamps
        set_births_back("testapp_club")
        answer(clubs)
    assert not is_cached(clubs)
    assert is_cached(clubs)  # by whom there is no doubt about


def test_stamps_count_in_a_snapshot_once_they_were_seen_before_it() -> None:
    for is_stored in (False, True):
        with repeatable_read():
            Tag.objects.nocache().get(pk=1)
            if not is_stored:
                somebody_writes("testapp_club")
            answer(clubs)
    assert is_cached(clubs)


def test_a_snapshot_is_stored_under_stamps_that_are_older() -> None:
    keep(clubs)
    with repeatable_read():
        Tag.objects.nocache().get(pk=1)
        assert is_cached(clubs)
    assert is_cached(two)


def test_a_statement_that_sees_what_is_committed_is_stored() -> None:
    with transaction.atomic():
        Tag.objects.nocache().get(pk=1)
        somebody_writes("testapp_club")
        answer(clubs)
    assert is_cached(clubs) is IS_READ_COMMITTED


def test_an_iterator_that_is_not_at_its_end_keeps_sqlites_snapshot() -> None:
    rows = Tag.objects.all().iterator(chunk_size=1)
    next(rows)
    answer(clubs)
    assert is_cached(clubs) is IS_READ_COMMITTED
    assert len(list(rows)) == 1
    keep(clubs)


# Round trips


def test_two_hundred_saves_in_a_transaction_are_two_round_trips() -> None:
    with count_round_trips(caches.current().driver.client) as trips, transaction.atomic():
        for number in range(200):
            Tag(pk=1 + number, name="new").save()
    assert trips.count <= 2
    assert one().name == "new"


def test_a_save_by_itself_is_two_round_trips() -> None:
    with count_round_trips(caches.current().driver.client) as trips:
        rename()
    assert trips.count == 2


@pytest.mark.parametrize("begin", [autocommit, transaction.atomic], ids=["by itself", "in a transaction"])
def test_ten_thousand_rows_at_once_are_two_round_trips(begin: Callable[[], Any]) -> None:
    named = lambda: Tag.objects.filter(name="row 9999").count()  # noqa: E731
    keep(named)
    with count_round_trips(caches.current().driver.client) as trips, begin():
        Tag.objects.bulk_create(Tag(name=f"row {number}") for number in range(10_000))
    assert trips.count <= 2
    assert named() == 1


def test_a_transaction_that_writes_nothing_asks_the_cache_for_nothing() -> None:
    with count_round_trips(caches.current().driver.client) as trips, transaction.atomic():
        connection.cursor().execute("SELECT 1")
    assert trips.count == 0


# COMMIT fails


def fail_to_commit(error: type[BaseException], patch: Callable[[], None]) -> None:
    """Rename a tag in a transaction whose COMMIT, after this patch, ends with an error."""

    def rename_and_patch() -> None:
        with transaction.atomic():
            rename()
            patch()

    with pytest.raises(error):
        rename_and_patch()


def commit_with(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    real_commit = connection._commit

    def fail() -> None:
        # Whoever is interrupted does not know that it has happened.
        if isinstance(error, KeyboardInterrupt):
            real_commit()
        raise error

    with monkeypatch.context() as patch:
        fail_to_commit(type(error), lambda: patch.setattr(connection, "_commit", fail))


def test_a_commit_that_the_database_refuses_is_released(monkeypatch: pytest.MonkeyPatch) -> None:
    commit_with(IntegrityError("a deferred constraint"), monkeypatch)
    assert one().name == "t1"
    assert is_settled()


@pytest.mark.parametrize(
    "error", [OperationalError("gone"), KeyboardInterrupt()], ids=["lost", "interrupted"]
)
def test_a_commit_whose_end_is_not_known_stays_fenced(
    error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit_with(error, monkeypatch)
    assert is_right(one)
    # SQLite's COMMIT is a call that has returned; a server may still be at it.
    assert is_cached(one) is (connection.vendor == "sqlite")
    assert not transactions.work_of(connection).unit.changes


def test_a_server_that_cannot_be_fenced_fails_the_transaction_before_its_commit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*args: Any) -> None:
        raise BackendError("the server is away")

    with monkeypatch.context() as patch:
        fail_to_commit(BackendError, lambda: patch.setattr(Cache, "fence", refuse))
    assert one().name == "t1"
    assert is_settled()


def test_what_is_fenced_before_the_server_fails_is_released(monkeypatch: pytest.MonkeyPatch) -> None:
    fence = Cache.fence

    def fence_and_fail(*args: Any) -> None:
        fence(*args)
        raise BackendError("the server is away")

    with monkeypatch.context() as patch:
        fail_to_commit(BackendError, lambda: patch.setattr(Cache, "fence", fence_and_fail))
    assert is_settled()


def test_invalidating_by_hand_keeps_no_list_of_it() -> None:
    for _ in range(3):
        invalidate_obj(Tag(pk=1, name="t1"))
    assert is_settled()


# TestCase


@contextmanager
def wrapped_as_in_testcase() -> Iterator[None]:
    """Wrap what is inside as ``TestCase`` wraps a test."""
    block: Any = transaction.atomic()
    block._from_testcase = True
    with block:
        yield
        transaction.set_rollback(True)


def test_what_a_test_writes_counts_as_committed() -> None:
    with wrapped_as_in_testcase():
        rename()
        assert one().name == "new"
        assert is_cached(one)
        assert is_cached(two)


def test_what_a_test_has_written_is_dropped_with_its_rollback() -> None:
    with wrapped_as_in_testcase():
        rename()
        keep(one)
    assert one().name == "t1"
    assert is_cached(two)


def test_a_transaction_inside_a_test_is_open_until_its_end() -> None:
    with wrapped_as_in_testcase():
        with transaction.atomic():
            rename()
            assert one().name == "new"
            assert not is_cached(one)
        keep(one)
    assert one().name == "t1"


def test_a_transaction_that_is_rolled_back_inside_a_test_drops_nothing() -> None:
    with wrapped_as_in_testcase():
        raising(transaction.atomic)
        assert is_cached(one)
        assert one().name == "t1"


def test_the_transactions_of_a_class_and_of_a_test_end_one_by_one() -> None:
    with wrapped_as_in_testcase():
        rename(1)
        keep(one)
        with wrapped_as_in_testcase():
            rename(1, "newer")
            rename(2)
            keep(one)
            keep(two)
        assert (one().name, two().name) == ("new", "t2")
    assert (one().name, two().name) == ("t1", "t2")


def test_a_model_with_keys_is_written_in_one_transaction_with_them() -> None:
    with transaction.atomic():
        post = Post.objects.create(title="p", category=Category.objects.create(title="c"))
        post.tags.add(1)
        assert is_right(lambda: list(post.tags.all()))
    assert is_right(lambda: list(post.tags.all()))
