"""What narrowing promises, tried out: a row that meets no conjunction, before and after a change, alters no result.

``CACHEOPS_TEST_EXAMPLES`` says how many random queries are tried, each of them with every change of one value of one
row, and every row that comes or goes.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from random import Random
from typing import Any

import pytest
from django.core.exceptions import EmptyResultSet
from django.db import DatabaseError, IntegrityError, NotSupportedError, connection, models, transaction
from hypothesis import HealthCheck, Phase, given, note, reject, settings
from hypothesis import strategies as st
from nested import KEYS, MODELS, NAMES, NUMBERS, TRUTHS, Asked, built, outermost

from cacheops_core.conditions import Conjunction, Dependencies
from cacheops_django import rows
from cacheops_django.dependencies import dependencies
from cacheops_django.reasons import Uncacheable

EXAMPLES = int(os.environ.get("CACHEOPS_TEST_EXAMPLES", "60"))

Row = dict[str, Any]
Table = dict[int, Row]
"""Rows by primary key, each of them by column."""

quoted = connection.ops.quote_name


def values_of(field: Any) -> list[Any]:
    """Return the few values that a column has in these tests."""
    if isinstance(field, models.ForeignKey):
        return [*KEYS, None] if field.null else KEYS
    if isinstance(field, models.BooleanField):
        return TRUTHS
    if isinstance(field, models.IntegerField):
        return NUMBERS
    return [None] if field.null else NAMES


def columns(model: type[models.Model]) -> dict[str, list[Any]]:
    return {
        str(field.column): values_of(field)
        for field in model._meta.local_concrete_fields
        if not field.primary_key
    }


def key_of(model: type[models.Model]) -> str:
    return str(model._meta.pk.column)


class Change:
    """One row of one table as it was and as it will be; None where it is not there."""

    def __init__(self, model: type[models.Model], key: int, old: Row | None, new: Row | None) -> None:
        self.model, self.key, self.old, self.new = model, key, old, new

    def __repr__(self) -> str:
        return f"{self.model.__name__} {self.key}: {self.old} -> {self.new}"

    def make(self) -> None:
        """Write it, without any model having a say."""
        table, key = quoted(self.model._meta.db_table), quoted(key_of(self.model))
        with connection.cursor() as cursor:
            if self.new is None:
                cursor.execute(f"DELETE FROM {table} WHERE {key} = %s", [self.key])
            elif self.old is None:
                names = ", ".join([key, *map(quoted, self.new)])
                places = ", ".join(["%s"] * (len(self.new) + 1))
                cursor.execute(
                    f"INSERT INTO {table} ({names}) VALUES ({places})", [self.key, *self.new.values()]
                )
            else:
                pairs = ", ".join(f"{quoted(name)} = %s" for name in self.new)
                cursor.execute(f"UPDATE {table} SET {pairs} WHERE {key} = %s", [*self.new.values(), self.key])

    def meets(self, conjunctions: tuple[Conjunction, ...]) -> bool:
        """Tell whether the row meets one of the conjunctions, before or after."""
        narrow = rows.columns(self.model, connection.vendor)
        for row in (self.old, self.new):
            if row is not None:
                tokens = rows.tokens(narrow, {key_of(self.model): self.key, **row})
                if any(tokens.items() >= dict(one).items() for one in conjunctions):
                    return True
        return False


def changes_of(model: type[models.Model], table: Table, random: Random) -> Iterator[Change]:
    """Yield every change of one value, each row's going, and a few rows' coming."""
    for key in KEYS:
        if (old := table.get(key)) is None:
            for _ in range(3):
                yield Change(
                    model, key, None, {name: random.choice(pool) for name, pool in columns(model).items()}
                )
            continue
        yield Change(model, key, old, None)
        for name, pool in columns(model).items():
            for value in pool:
                if value != old[name]:
                    yield Change(model, key, old, old | {name: value})


@contextmanager
def taken_back() -> Iterator[None]:
    """Take back what was written; if another row has already what only one may have, nothing was."""
    block: Any = transaction.atomic()
    block._from_testcase = True
    with suppress(IntegrityError), block:
        yield
        transaction.set_rollback(True)


def fill(random: Random) -> dict[type[models.Model], Table]:
    """Make a few rows of each model."""
    tables: dict[type[models.Model], Table] = {model: {} for model in MODELS}
    for model, table in tables.items():
        for key in KEYS:
            row = {name: random.choice(pool) for name, pool in columns(model).items()}
            if random.random() < 0.75:
                with suppress(IntegrityError), transaction.atomic():
                    Change(model, key, None, row).make()
                    table[key] = row
    return tables


class Answers:
    """What the database says to one query, at different times."""

    def __init__(self, asked: Asked) -> None:
        queryset = built(asked)
        try:
            self.found: Dependencies = dependencies(queryset.query, "default")
            self.sql, self.params = queryset.query.sql_with_params()
        except (EmptyResultSet, NotSupportedError, Uncacheable):
            reject()
        self.is_ordered = bool(queryset.query.order_by)

    def first(self) -> list[Any]:
        """Return the first answer, if the database takes the query; each has some that it does not."""
        try:
            with transaction.atomic():
                return self.now()
        except DatabaseError:
            reject()

    def now(self) -> list[Any]:
        with connection.cursor() as cursor:
            cursor.execute(self.sql, self.params)
            answer = cursor.fetchall()
        return answer if self.is_ordered else sorted(answer, key=repr)


@pytest.mark.django_db
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
@given(asked=outermost(), seed=st.integers(0, 2**32))
def test_a_row_that_meets_no_conjunction_alters_no_result(asked: Asked, seed: int) -> None:
    answers, random = Answers(asked), Random(seed)
    found = dict(answers.found.tables)
    # Keys may refer to rows that are not there: databases look at that in the end, before which all is taken back.
    with connection.constraint_checks_disabled(), taken_back():
        tables = fill(random)
        before = answers.first()
        for model, table in tables.items():
            conjunctions = found.get(model._meta.db_table, ())
            for change in changes_of(model, table, random):
                if not change.meets(conjunctions):
                    with taken_back():
                        change.make()
                        if answers.now() != before:
                            note(f"{answers.sql}\n{answers.params}\n{answers.found}")
                            pytest.fail(f"{change} altered the result")
