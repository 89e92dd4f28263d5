"""The query by which ``save`` finds its row is a copy of one, and the same that Django would build."""

import uuid
from typing import Any

import pytest
from django.db import DatabaseError
from django.db.models import Model, QuerySet
from testapp.models import Category, Pizzeria, Post, Profile, Token

from cacheops_django import chains, scopes

pytestmark = pytest.mark.django_db

KEYS: list[tuple[type[Model], list[Any]]] = [
    (Post, [1, 2, 2**70, True, None, "3", 4.0]),
    (Category, [1, -2]),
    (Token, [uuid.UUID(int=1), uuid.UUID(int=2), "0" * 32]),
    (Profile, [1, 2]),
    (Pizzeria, [1, 2]),
]


def rows_of(model: type[Model]) -> QuerySet[Any]:
    return model._base_manager.using("default")


def said(queryset: Any) -> Any:
    """Return what a query says, its state included."""
    has = dict(queryset.query.__dict__)
    where = has.pop("where")
    # Aliases are Django's, and made anew for each query.
    has["alias_map"] = [(name, type(one), one.table_name) for name, one in has["alias_map"].items()]
    (lookup,) = where.children
    return has, where.connector, where.negated, type(lookup), lookup.lhs, lookup.rhs, type(lookup.rhs)


@pytest.mark.parametrize("model, keys", KEYS)
def test_a_copy_is_what_django_builds(model: type[Model], keys: list[Any]):
    chains.forget()
    for key in [*keys, *reversed(keys)]:
        with scopes.deciding():
            copied = rows_of(model).filter(pk=key)
        built: Any = QuerySet(model).using("default")
        # As it is built where nothing of ours stands in between.
        built = chains._ORIGINALS["filter"](built, pk=key)
        if key is None or (type(key) is int and abs(key) > 2**63):
            assert copied.query.where.children[0].rhs == built.query.where.children[0].rhs
        else:
            assert str(copied.query) == str(built.query)
        assert said(copied) == said(built)
        assert copied._result_cache is None


def test_the_first_is_not_changed_by_those_that_follow():
    chains.forget()
    with scopes.deciding():
        first, *others = [rows_of(Post).filter(pk=number) for number in (7, 8, 9)]
        assert str(others[0].filter(views=1).query) != str(others[0].query)
    assert [rows.query.where.children[0].rhs for rows in (first, *others)] == [7, 8, 9]


def test_a_queryset_that_was_asked_before_is_left_to_django():
    chains.forget()
    with scopes.deciding():
        for number in (1, 2):
            rows: Any = rows_of(Post).filter(views=number).filter(pk=number)
            assert len(rows.query.where.children) == 2
        evaluated: Any = rows_of(Post)
        list(evaluated)
        assert evaluated.filter(pk=1)._result_cache is None
        in_place = Post.objects.inplace()
        assert in_place.filter(pk=1) is in_place


def test_saves_change_the_row_that_they_are_of():
    category = Category.objects.create(title="c")
    posts = [Post.objects.create(title=f"t{number}", category=category) for number in range(3)]
    for number, post in enumerate(posts):
        post.views = number + 10
        post.save()
    assert [post.views for post in Post.objects.nocache().order_by("pk")] == [10, 11, 12]
    with pytest.raises(DatabaseError, match="did not affect any rows"):
        Post(pk=posts[-1].pk + 1, title="t", category=category).save(force_update=True)
