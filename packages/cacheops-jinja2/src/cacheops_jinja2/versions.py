"""Which version of a template a text is made from, so that an edited template never serves its old text.

A version is a digest of the code that a template was compiled to. That is what runs, wherever it came from (a loader,
a bytecode cache, a module that was compiled in advance, a string without a name), while a file may have been edited
since it was read.

A fragment's text is made from other templates as well: those that its template includes, imports or extends, and those
that these ask for in turn. Compiled code asks for each by name, so the names are read off the code, and each is looked
up as rendering would do, which takes up edited files. Names that a template computes cannot be followed.

Macros are another story. A page begins and imports one; its file is edited; now the page comes to a fragment that
calls the macro. The macro is still the old one, while a look-up by name would find the new version, and the old text
would be kept under it. So macros are found where the fragment has them: in the variables that its code closes over.
"""

from __future__ import annotations

import dis
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any
from weakref import WeakKeyDictionary

from jinja2 import Environment, TemplateError
from jinja2.environment import TemplateModule
from jinja2.runtime import Macro

from cacheops_core.keys import stable_key

__all__ = ["function_of", "macros_among", "versions"]

Namespace = Mapping[str, Any]
"""The globals of a compiled template: ``root`` renders it, ``blocks`` are its blocks, ``name`` is its name."""

LOOKUPS = frozenset({"get_template", "select_template", "get_or_select_template"})
"""The methods of environments that compiled code gets other templates from."""

MAKING_LISTS = frozenset({"BUILD_LIST", "BUILD_TUPLE", "LIST_EXTEND"})

MISSING = b""
"""The version of a template that cannot be loaded."""


@dataclass(frozen=True, slots=True)
class Version:
    """A compiled template: what tells it from others, and which others it asks for."""

    digest: bytes
    references: tuple[str, ...]

    @classmethod
    def of(cls, namespace: Namespace) -> Version:
        """Return the version of a compiled template, which is worked out once."""
        root = namespace["root"]
        version = _known.get(root)
        if version is None:
            codes = {name: block.__code__ for name, block in namespace["blocks"].items()}
            references = {name for code in (root.__code__, *codes.values()) for name in _references(code)}
            # The name of the asking template stands beside each name that it asks for.
            found = tuple(sorted(references - {namespace["name"]}))
            version = _known[root] = cls(stable_key(root.__code__, codes), found)
        return version


_known: WeakKeyDictionary[FunctionType, Version] = WeakKeyDictionary()
"""Versions by the function that renders the template, which goes when the template goes."""


def function_of(macro: Macro) -> FunctionType:
    """Return the function that the compiler made of a macro, or of the body of a tag."""
    return macro._func  # type: ignore[return-value]  # declared as any callable


def versions(
    environment: Environment, functions: Iterable[FunctionType]
) -> tuple[list[bytes], dict[str, bytes]]:
    """Return the versions of the templates that these functions belong to, and by name of all that these ask for."""
    own = [(namespace["name"], Version.of(namespace)) for namespace in _namespaces(functions)]
    others: dict[str, bytes] = {}
    waiting = list(own)
    while waiting:
        parent, version = waiting.pop()
        for name in version.references:
            joined = environment.join_path(name, parent) if parent else name
            if joined in others:
                continue
            others[joined] = MISSING
            namespace = _namespace_named(environment, name, parent)
            if namespace is not None:
                asked = Version.of(namespace)
                others[joined] = asked.digest
                waiting.append((namespace["name"], asked))
    return [version.digest for _, version in own], others


def _namespaces(functions: Iterable[FunctionType]) -> list[Namespace]:
    """Return the compiled templates of functions and of the macros that these can call, each once."""
    waiting, seen = list(functions), set()
    found: dict[FunctionType, Namespace] = {}
    while waiting:
        function = waiting.pop()
        if function not in seen:
            seen.add(function)
            found[function.__globals__["root"]] = function.__globals__
            waiting += map(function_of, macros_among(_variables_around(function)))
    return list(found.values())


def macros_among(values: Iterable[Any]) -> Iterator[Macro]:
    """Yield the macros among the values of variables, and those of the modules among them."""
    for value in values:
        # What "import" gives a template has its macros for attributes.
        for one in vars(value).values() if isinstance(value, TemplateModule) else (value,):
            if isinstance(one, Macro):
                yield one


def _variables_around(function: FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # of a variable that has no value yet
            yield cell.cell_contents


def _namespace_named(environment: Environment, name: str, parent: str | None) -> Namespace | None:
    try:
        template = environment.get_template(name, parent)
    except TemplateError:
        return None  # if the text needs it, rendering will say so
    return template.root_render_func.__globals__


def _references(code: CodeType) -> Iterator[str]:
    """Yield the constant names among what this code gives to the methods that look up templates."""
    is_asking = False
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            is_asking = step.argval in LOOKUPS
        elif is_asking and step.opname == "LOAD_CONST":
            given = step.argval if isinstance(step.argval, tuple) else (step.argval,)
            yield from (name for name in given if isinstance(name, str))
        elif step.opname not in MAKING_LISTS:
            is_asking = False
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _references(constant)
