"""The tags: from what stands in a template to a fragment that is asked for under its key.

A fragment is compiled as Jinja2's ``{% call %}`` is: its body becomes a function that sees the variables around it,
and is called only where the cache has no text for it. So what is set inside of a fragment stays inside, as it must,
for nothing is set when the text comes from the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from types import FunctionType
from typing import Any

from jinja2 import Environment, Undefined, nodes
from jinja2.compiler import find_undeclared
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.runtime import Context, Macro

from cacheops_core.conditions import Dependencies
from cacheops_core.errors import ConfigurationError, KeyingError
from cacheops_core.keys import register, stable_key
from cacheops_core.options import seconds

from .asking import Fragment, asking, check, run, run_async
from .versions import function_of, macros_among, versions

__all__ = ["CacheopsExtension"]

NOT_GIVEN: Any = object()
"""Stands for an option that was left out, where None means something."""

OPTIONS = ("timeout", "extra", "lock", "keep_fresh")

OF_MACROS = ("caller", "kwargs", "varargs")
"""The names that each macro has for itself, and so the function that a fragment becomes."""

OF_INHERITANCE = ("self", "super")
"""The names by which templates reach blocks, of which other templates may have other versions."""

# A name that a template does not know prints as nothing or is an error: as the environment's undefined type says.
register(Undefined, str)


class CacheopsExtension(Extension):
    """The tags ``{% cached %}`` and ``{% cached_as %}``; texts are kept in the cache ``environment.cacheops``.

    That is a ``Cache`` or an ``AsyncCache`` of `cacheops_core`, a ``FileCache``, or any object with ``get(key,
    default)`` and ``set(key, value, timeout)``; or else with ``get_or_compute(key, dependencies, compute, timeout)``,
    and for ``cached_as`` with ``dependencies_of(*samples)``. The last argument may be left out in all of them; for
    fragments with ``lock=`` the third takes that as well.
    """

    tags: set[str] = {"cached", "cached_as"}  # noqa: RUF012  # as Jinja2 declares it

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        environment.extend(cacheops=None)

    def default_cache(self) -> Any:
        """Return the cache of environments that have none of their own; None if there is none."""
        return None

    # When a template is compiled

    def parse(self, parser: Parser) -> nodes.Node:
        """Return what a tag and its body are compiled to."""
        token = next(parser.stream)
        tag, line = token.value, token.lineno
        samples, options = _arguments(parser, tag)
        if tag == "cached_as" and not samples:
            parser.fail("cached_as needs a sample to depend on: write {% cached_as sample %}", line)
        if tag == "cached":
            options += _timeout(parser, samples, options, line)
            samples = []
        # It asks for what happens anyway: a text that was made while its rows changed is not kept.
        options = [option for option in options if option.key != "keep_fresh"]
        body = parser.parse_statements((f"name:end{tag}",), drop_needle=True)
        # A number of its own, for two tags may stand in one line.
        position = parser.free_identifier().name
        own = sorted(find_undeclared(body, OF_MACROS))
        fixed = (tag, parser.name, line, position, _reaches_blocks(body))
        call = self.call_method(
            "_answer",
            [nodes.ContextReference(), nodes.Const(fixed), nodes.List(samples), _names(own, "load")],
            options,
        )
        parameters = [nodes.Name(name, "param") for name in own]
        made = nodes.CallBlock(call, parameters, [nodes.Const(None) for _ in own], body)
        return made.set_lineno(line)

    # When it is rendered

    def _answer(
        self,
        context: Context,
        fixed: tuple[str, str | None, int, str, bool],
        samples: list[Any],
        own: list[Any],
        *,
        caller: Macro,
        timeout: Any = NOT_GIVEN,
        extra: Any = None,
        lock: Any = None,
    ) -> Any:
        """Return the text of a fragment: the one that is stored, or else a new one. Called by templates."""
        tag, name, line, position, reaches_blocks = fixed
        place = f"{tag} in {'an unnamed template' if name is None else repr(name)}, line {line}"
        is_async, autoescape = self.environment.is_async, context.eval_ctx.autoescape
        cache = getattr(self.environment, "cacheops", None)
        cache = self.default_cache() if cache is None else cache
        check(cache, place, follows=tag == "cached_as", locks=bool(lock), is_async=is_async)
        code = _code(caller, own, context if reaches_blocks else None)
        try:
            fragment = Fragment(
                key=_key((name, position, autoescape), versions(self.environment, code), own, extra),
                dependencies=_dependencies(cache, samples) if samples else {},
                render=_rendering(caller, own, is_async),
                timeout=() if timeout is NOT_GIVEN else (seconds(timeout, "timeout"),),
                lock=None if lock is None else bool(lock),
            )
        except (ConfigurationError, KeyingError) as error:
            raise type(error)(f"{place}: {error}") from error
        flow = asking(cache, fragment, is_async)
        # Into the page as it is, as what any call block returns: its values were escaped when it was rendered.
        return run_async(flow) if is_async else run(flow)


def _arguments(parser: Parser, tag: str) -> tuple[list[nodes.Expr], list[nodes.Keyword]]:
    """Return what stands before the options of a tag, samples or a timeout, and these, up to the end of the tag."""
    samples: list[nodes.Expr] = []
    options: list[nodes.Keyword] = []
    stream = parser.stream
    while stream.current.type != "block_end":
        if samples or options:
            stream.expect("comma")
        if stream.current.type == "name" and stream.look().type == "assign":
            options.append(_option(parser, tag, [option.key for option in options]))
        elif options:
            what = "samples" if tag == "cached_as" else "timeout"
            parser.fail(f"{tag} takes its {what} before its options: put this one first")
        else:
            samples.append(parser.parse_expression())
    return samples, options


def _option(parser: Parser, tag: str, known: Sequence[str]) -> nodes.Keyword:
    token = next(parser.stream)
    if token.value not in OPTIONS:
        known_ones = f"{'=, '.join(OPTIONS[:-1])}= and {OPTIONS[-1]}="
        parser.fail(f"{tag} takes {known_ones}, got {token.value}=", token.lineno)
    if token.value in known:
        parser.fail(f"{tag} takes {token.value}= once, got it twice", token.lineno)
    parser.stream.expect("assign")
    return nodes.Keyword(token.value, parser.parse_expression(), lineno=token.lineno)


def _timeout(
    parser: Parser, values: list[nodes.Expr], options: list[nodes.Keyword], line: int
) -> list[nodes.Keyword]:
    """Return the option that a value stands for which has no name in ``cached``: its timeout, if there is one."""
    if len(values) > 1:
        parser.fail(
            f"cached takes one timeout and no samples, got {len(values)} values: name its extra=, or write cached_as",
            line,
        )
    if values and any(option.key == "timeout" for option in options):
        parser.fail("cached takes timeout= once, got it twice", line)
    return [nodes.Keyword("timeout", value, lineno=line) for value in values]


def _names(names: Sequence[str], context: str) -> nodes.List:
    return nodes.List([nodes.Name(name, context) for name in names])


def _reaches_blocks(body: Sequence[nodes.Node]) -> bool:
    """Tell whether other templates that extend this one, or that it extends, may have a say in a fragment."""
    wrapped = nodes.Scope(list(body))
    named = (name.name in OF_INHERITANCE for name in wrapped.find_all(nodes.Name))
    return wrapped.find(nodes.Block) is not None or any(named)


def _code(body: Macro, own: list[Any], context: Context | None) -> list[FunctionType]:
    """Return the functions that make a text: a fragment's body, who calls the macro around it, and blocks."""
    macros = [body, *macros_among(own)]
    blocks: list[Any] = []
    if context is not None:
        # Blocks find the macros that a page has imported in the context.
        macros += macros_among(context.vars.values())
        blocks += chain.from_iterable(context.blocks.values())
    return [*map(function_of, macros), *blocks]


def _key(place: tuple[Any, ...], versions: Any, own: list[Any], extra: Any) -> str:
    # What a macro is called around is a text in a template; what it is called with is for the author to name.
    callers = [function_of(macro).__code__ for macro in macros_among(own)]
    # As text, which caches of all makes take for a key.
    try:
        return f"jinja2:{stable_key(place, versions, callers, extra).hex()}"
    except KeyingError as error:
        raise KeyingError(str(error).replace("parts[3]", "extra", 1)) from error


def _dependencies(cache: Any, samples: list[Any]) -> Any:
    own = getattr(cache, "dependencies_of", None)
    return own(*samples) if own else Dependencies().merge(*map(Dependencies.coerce, samples))


def _rendering(caller: Macro, own: list[Any], is_async: bool) -> Callable[[], Any]:
    async def render_async() -> Any:
        return _plain(await caller(*own))  # type: ignore[misc]  # in such environments macros are coroutines

    return render_async if is_async else lambda: _plain(caller(*own))


def _plain(value: Any) -> Any:
    # All serializers know text, and few know markup. A NativeEnvironment makes other values.
    return str.__str__(value) if isinstance(value, str) else value
