"""A plugin for mypy that knows what the cache adds to Django's querysets and managers.

In mypy's configuration it stands before the plugin of django-stubs, which has the next word:
``plugins = ["cacheops_django.mypy_plugin", "mypy_django_plugin.main"]``. Checkers that have no plugins take the
classes of `cacheops_django.typing`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from mypy.checker import TypeChecker
from mypy.maptype import map_instance_to_supertype
from mypy.nodes import ARG_OPT, ARG_STAR2, ArgKind, Argument, TypeInfo, Var
from mypy.plugin import ClassDefContext, MethodContext, Plugin
from mypy.plugins.common import add_method_to_class
from mypy.types import AnyType, Instance, Type, TypeOfAny, get_proper_type

QUERYSET = "django.db.models.query.QuerySet"
MANAGER = "django.db.models.manager.BaseManager"

METHODS: dict[str, tuple[tuple[str, ArgKind], ...]] = {
    "cache": tuple((name, ARG_OPT) for name in ("ops", "timeout", "lock", "write_only")),
    "nocache": (),
    "inplace": (),
    "cloning": (("cloning", ARG_OPT),),
    "invalidated_update": (("values", ARG_STAR2),),
}
"""What is added, with its arguments; all but the last return a queryset of the same kind."""


class CacheopsPlugin(Plugin):
    """Adds the methods, and knows what each returns for whom."""

    def get_customize_class_mro_hook(self, fullname: str) -> Callable[[ClassDefContext], None] | None:
        """Return what adds the methods to Django's own classes."""
        return _add_methods if fullname in (QUERYSET, MANAGER) else None

    def get_method_hook(self, fullname: str) -> Callable[[MethodContext], Type] | None:
        """Return what knows what a method returns."""
        name = fullname.rpartition(".")[2]
        return partial(_returned, name) if name in METHODS else None


def plugin(version: str) -> type[Plugin]:
    """Return the plugin for a version of mypy."""
    return CacheopsPlugin


def _add_methods(context: ClassDefContext) -> None:
    # Without types, which mypy may not know yet when it reads Django's classes: the hooks below know them.
    for name, arguments in METHODS.items():
        taken = [Argument(Var(argument, _any()), _any(), None, kind) for argument, kind in arguments]
        add_method_to_class(context.api, context.cls, name, taken, _any(), self_type=_any())


def _returned(name: str, context: MethodContext) -> Type:
    owner = get_proper_type(context.type)
    added_to = owner.type.get_containing_type_info(name) if isinstance(owner, Instance) else None
    if not isinstance(owner, Instance) or added_to is None or added_to.fullname not in (QUERYSET, MANAGER):
        return context.default_return_type
    if name == "invalidated_update":
        return context.api.named_generic_type("builtins.int", [])
    return owner if added_to.fullname == QUERYSET else _queryset_of(owner, context)


def _queryset_of(owner: Instance, context: MethodContext) -> Type:
    """Return the type of the querysets that a manager makes."""
    manager = next(base for base in owner.type.mro if base.fullname == MANAGER)
    (model,) = map_instance_to_supertype(owner, manager).args
    # django-stubs notes there what a manager was made from.
    names = (base.metadata.get("django", {}).get("from_queryset_manager") for base in owner.type.mro)
    queryset = _class(next(filter(None, names), QUERYSET), context)
    return Instance(queryset, [model] * len(queryset.type_vars))


def _class(fullname: str, context: MethodContext) -> TypeInfo:
    module, _, name = fullname.rpartition(".")
    assert isinstance(context.api, TypeChecker)
    node = context.api.modules[module].names[name].node
    assert isinstance(node, TypeInfo)
    return node


def _any() -> AnyType:
    return AnyType(TypeOfAny.explicit)
