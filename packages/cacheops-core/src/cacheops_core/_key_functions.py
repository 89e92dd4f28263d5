"""Functions, methods, partials, classes: by the name that leads to them, or by code and what they close over.

Who relies on names alone is wrong sooner or later. ``@functools.wraps`` gives two decorators' wrappers one
name; the functions registered with ``singledispatch`` are all called ``_``; every script calls its module
``__main__``. So a name counts only if following it ends at this very object, how many decorators were passed
on the way counts too, and ``__main__`` stands for the file that it was started from.
"""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Callable
from functools import partial
from typing import Any

__all__ = ["Label", "Parts", "Unkeyable", "class_label", "decompose", "describe", "unbound"]

# Py_TPFLAGS_HEAPTYPE: made by a class statement or the like. The others cannot be redefined, and some, as
# NoneType, stand in no module: https://docs.python.org/3/c-api/typeobj.html#c.Py_TPFLAGS_HEAPTYPE
_IS_HEAP_TYPE = 1 << 9

Label = tuple[Any, ...]
Parts = list[tuple[str, Any]]

# More decorators on top of one another than this are a loop.
_MOST_DECORATORS = 100

_MAINS = ("__main__", "__mp_main__")


class Unkeyable(Exception):
    """What has no stable key, as a phrase; the path to it grows from the inside out while this is raised."""

    def __init__(self, reason: str, hint: str | None = None) -> None:
        super().__init__(reason)
        self.hint = hint
        self.path = ""


def describe(func: Any) -> str:
    """Return how a message calls this function."""
    name = getattr(func, "__qualname__", None) or type(func).__qualname__
    return f"{getattr(func, '__module__', None) or '?'}.{name}"


def unbound(func: Any, args: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
    """Return a bound method as its function and the arguments with ``self`` in front; others as they are."""
    if isinstance(func, types.MethodType):
        return func.__func__, (func.__self__, *args)
    return func, args


def class_label(cls: type) -> tuple[str, str]:
    """Return the name of a class without asking whether it leads to it: only for what says more beside it."""
    return _home(cls.__module__) or cls.__module__, cls.__qualname__


def decompose(value: Any) -> tuple[Label, Parts] | None:
    """Return label and parts of a function, a class or the like, and None of anything else."""
    if isinstance(value, type):
        return _class(value), []
    decomposer = _KINDS.get(type(value))
    if decomposer is not None:
        return decomposer(value)
    named = _named(value)
    return None if named is None else (named, [])


def _class(cls: type) -> Label:
    if not cls.__flags__ & _IS_HEAP_TYPE:
        return "class", cls.__module__, cls.__qualname__, 0
    steps = _steps_from_name(cls)
    if steps is None:
        raise Unkeyable(
            f"is or belongs to the class {describe(cls)}, to which its name does not lead",
            hint="define it at the top level of its module, or give its instances a method __cache_key__()",
        )
    return "class", *class_label(cls), steps


def _named(value: Any) -> Label | None:
    module, qualname = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(qualname, str):
        return None
    home, steps = _home(module), _steps_from_name(value)
    return None if home is None or steps is None else ("named", home, qualname, steps)


def _home(module: str) -> str | None:
    """Return a name of the module that no other program uses; None where there is none, as in a shell."""
    if module not in _MAINS:
        return module
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return str(spec.name)
    file = getattr(main, "__file__", None)
    return None if file is None else os.path.realpath(file)


def _steps_from_name(value: Any) -> int | None:
    """Return how many decorators lie between what the name leads to and this; None if it leads elsewhere."""
    found: Any = sys.modules.get(value.__module__)
    for name in value.__qualname__.split("."):
        found = getattr(found, "__dict__", {}).get(name)
    for steps in range(_MOST_DECORATORS):
        if found is None or found is value:
            return None if found is None else steps
        found = _inner(found)
    return None


def _inner(decorated: Any) -> Any:
    for attribute in ("__wrapped__", "__func__", "fget", "func"):
        inner = getattr(decorated, attribute, None)
        if inner is not None:
            return inner
    return None


def _function(func: types.FunctionType) -> tuple[Label, Parts]:
    named = _named(func)
    if named is not None:
        return named, []
    parts: Parts = [("", func.__code__)]
    parts += [(".__defaults__", func.__defaults__), (".__kwdefaults__", func.__kwdefaults__)]
    for name, cell in zip(func.__code__.co_freevars, func.__closure__ or (), strict=True):
        parts += _cell(name, cell)
    return ("function", func.__module__ and _home(func.__module__), func.__qualname__), parts


def without(func: Any, has_no_key: Callable[[Any], bool]) -> Any:
    """Return a function as what it is told by, less what it closes over that has no key."""
    closure = getattr(func, "__closure__", None)
    if type(func) is not types.FunctionType or not closure or _named(func) is not None:
        return func
    cells = zip(func.__code__.co_freevars, closure, strict=True)
    kept = {
        name: cell.cell_contents
        for name, cell in cells
        if not _is_empty(cell) and not has_no_key(cell.cell_contents)
    }
    if len(kept) == len(closure):
        return func
    module = func.__module__ and _home(func.__module__)
    return "without", module, func.__qualname__, func.__code__, func.__defaults__, func.__kwdefaults__, kept


def _is_empty(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018  # it raises where nothing has been assigned yet
    except ValueError:
        return True
    return False


def _cell(name: str, cell: types.CellType) -> Parts:
    try:
        return [("", name), ("", True), (f'.__closure__["{name}"]', cell.cell_contents)]
    except ValueError:  # declared in the enclosing function and not assigned yet
        return [("", name), ("", False)]


def _code(code: types.CodeType) -> tuple[Label, Parts]:
    # Neither file nor line numbers, so that an edit above does not change the key.
    signature = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    parts = (code.co_code, code.co_exceptiontable, code.co_consts)
    return ("code", *signature, *names), [("", part) for part in parts]


def _method(method: types.MethodType) -> tuple[Label, Parts]:
    return ("method",), [("", method.__func__), (".__self__", method.__self__)]


def _builtin(func: types.BuiltinFunctionType) -> tuple[Label, Parts]:
    owner = func.__self__
    if owner is None or isinstance(owner, types.ModuleType):
        return ("builtin", func.__module__, func.__qualname__), []
    return ("builtin method", func.__name__), [(".__self__", owner)]


def _descriptor(method: Any) -> tuple[Label, Parts]:
    return ("builtin descriptor", method.__name__), [("", method.__objclass__)]


def _partial(func: partial[Any]) -> tuple[Label, Parts]:
    return ("partial",), [(".func", func.func), (".args", func.args), (".keywords", func.keywords)]


_KINDS: dict[type, Callable[[Any], tuple[Label, Parts]]] = {
    types.FunctionType: _function,
    types.CodeType: _code,
    types.MethodType: _method,
    types.BuiltinFunctionType: _builtin,
    types.MethodWrapperType: _builtin,
    types.MethodDescriptorType: _descriptor,
    types.WrapperDescriptorType: _descriptor,
    types.ClassMethodDescriptorType: _descriptor,
    partial: _partial,
}
