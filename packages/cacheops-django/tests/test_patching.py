"""Patches: an attribute is replaced, and put back exactly as it was."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from cacheops_django.patching import Patch, add, apply_all, around, undo_all


class Base:
    def greet(self, name: str = "you") -> str:
        """Say hello."""
        return f"hello {name}"


class Child(Base):
    def leave(self) -> str:
        return "bye"


def louder(original: Callable[..., str], self: Base, *args: Any, **kwargs: Any) -> str:
    return original(self, *args, **kwargs) + "!"


def test_a_wrapper_is_called_with_the_original() -> None:
    patches = apply_all([around(Child, "leave", louder)])
    assert Child().leave() == "bye!"
    undo_all(patches)
    assert Child().leave() == "bye"


def test_a_wrapper_looks_like_what_it_wraps() -> None:
    patched = around(Base, "greet", louder).value
    assert (patched.__name__, patched.__doc__) == ("greet", "Say hello.")


def test_an_attribute_that_was_inherited_is_inherited_again() -> None:
    before = dict(vars(Child))
    patches = apply_all([around(Child, "greet", louder), add(Child, "stay", louder)])
    assert Child().greet(name="me") == "hello me!"
    assert Base().greet() == "hello you"
    undo_all(patches)
    assert dict(vars(Child)) == before


def test_two_patches_of_one_attribute_are_undone_the_last_one_first() -> None:
    before = vars(Base)["greet"]
    patches = apply_all([around(Base, "greet", louder)])
    patches += apply_all([around(Base, "greet", louder)])
    assert Base().greet() == "hello you!!"
    undo_all(patches)
    assert vars(Base)["greet"] is before
    assert patches == []


def test_functions_of_modules_are_patched_too() -> None:
    module = SimpleNamespace(double=lambda number: number * 2)
    patches = apply_all([around(module, "double", lambda original, number: original(number) + 1)])
    assert module.double(2) == 5
    undo_all(patches)
    assert module.double(2) == 4


def test_a_patch_that_cannot_be_made_says_which_attribute_is_missing() -> None:
    with pytest.raises(AttributeError, match="arrive"):
        around(Base, "arrive", louder)


def test_patches_are_applied_when_they_are_asked_to() -> None:
    patch = Patch(Base, "greet", lambda self: "nothing")
    assert Base().greet() == "hello you"
    patch.apply()
    assert Base().greet() == "nothing"
    patch.undo()
    assert Base().greet() == "hello you"
