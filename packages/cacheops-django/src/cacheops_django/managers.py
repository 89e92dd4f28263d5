"""The managers that Django makes up for relations: ``set()`` and its kind decide on writes by what they read."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.apps import apps
from django.db.models import QuerySet

from . import scopes

DECIDING = ("add", "remove", "clear", "set")


def deciding_class(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Return the class of a relation's manager, whose changes are decided on in the database."""
    made = original(*args, **kwargs)
    for name in DECIDING:
        # Not every relation can remove or clear.
        if (method := vars(made).get(name)) is not None:
            setattr(made, name, _deciding(method))
    return made


def _deciding(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def decide(*args: Any, **kwargs: Any) -> Any:
        with scopes.deciding():
            return method(*args, **kwargs)

    return decide


def past_the_cache(original: Callable[..., Any], *args: Any, **kwargs: Any) -> QuerySet[Any]:
    """Return the admin's rows as the database has them."""
    return original(*args, **kwargs).nocache()  # type: ignore[no-any-return]  # a method that is added


def forget_classes() -> None:
    """Have Django make the managers' classes anew: a relation keeps the first that it was given."""
    for model in apps.get_models(include_auto_created=True):
        for owner in model.__mro__:
            for attribute in vars(owner).values():
                # A class shows its attributes through a proxy that nothing can be taken from.
                if isinstance(kept := getattr(attribute, "__dict__", None), dict):
                    kept.pop("related_manager_cls", None)
