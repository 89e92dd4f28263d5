"""Parts of templates that are kept as results of functions are, and the library in which to make tags for that.

What stands between the tags is a function to the decorator that a tag is made of: it takes no arguments and returns
what is rendered. It is told from others by its source, by the language, the time zone and the escaping in which it
is rendered, and by what the tag adds: a name and whatever else the output depends on. So a fragment that was
changed by a deploy is another one, and output is byte for byte what it would be without the tag.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

from asgiref.sync import sync_to_async
from django.template import Context, Library, Node, NodeList, TemplateSyntaxError
from django.template.base import FilterExpression, Parser, Token
from django.template.loader_tags import BlockNode
from django.utils import timezone, translation
from django.utils.safestring import SafeString

from cacheops_core.conditions import Dependencies
from cacheops_core.errors import ConfigurationError, KeyingError
from cacheops_core.keys import stable_key

from . import caches
from .results import Results, Unstored

__all__ = ["CacheopsLibrary", "Fragment", "ainvalidate_fragment", "invalidate_fragment", "kept"]

FRAGMENTS = "cacheops.fragments"
"""The table, in the words of the core, whose rows are fragments: to drop one is to write its row."""

KEYWORD = re.compile(r"(\w+)=(.+)")

PLAIN: frozenset[type] = frozenset({str, bytes, int, bool, type(None)})
"""Extras that are one if they are equal and of one type."""

FragmentDecorator = Callable[[Callable[[], Any]], Callable[[], Any]]


class Fragment:
    """A part of a template in the context in which it is to be rendered: a function without arguments."""

    __slots__ = ("__weakref__", "context", "has_failed", "node")

    def __init__(self, node: FragmentNode, context: Context) -> None:
        self.node: FragmentNode = node
        self.context: Context = context
        self.has_failed: bool = False
        """Whether rendering has raised an error, which is then none of the tag's."""

    @property
    def __name__(self) -> str:
        return self.node.tag

    @property
    def title(self) -> str:
        """What it is known by where lookups are counted and listed."""
        origin = getattr(self.node, "origin", None)
        return f"{{% {self.node.tag} %}} in {getattr(origin, 'template_name', None) or 'a template'}"

    def __call__(self) -> SafeString:
        request = getattr(self.context, "request", None)
        try:
            with Secrets(self.context, request) as secrets, self.context.push():
                text = self.node.nodelist.render(self.context)
        except BaseException:
            self.has_failed = True
            raise
        if secrets.are_in(text):
            raise Unstored(text)
        return text

    def __cache_key__(self) -> Any:
        context, node = self.context, self.node
        # A block may be another one in each template that extends this one.
        template = context.template.source if node.has_blocks and context.template else None
        rendering = (context.autoescape, context.use_l10n, context.use_tz)
        zone = timezone.get_current_timezone_name()
        return node.digest, template, *rendering, translation.get_language(), zone


class Secrets:
    """Watches for what must be in nobody else's page: tokens against forged requests, and nonces."""

    def __init__(self, context: Context, request: Any) -> None:
        self._context = context
        self._request = request
        self._meta: dict[str, Any] = getattr(request, "META", {})
        self._is_new = False

    def __enter__(self) -> Secrets:
        self._was_used = self._meta.pop("CSRF_COOKIE_NEEDS_UPDATE", None)
        return self

    def __exit__(self, *exception: object) -> None:
        self._is_new = bool(self._meta.get("CSRF_COOKIE_NEEDS_UPDATE"))
        if self._was_used is not None:
            self._meta["CSRF_COOKIE_NEEDS_UPDATE"] = self._was_used

    def are_in(self, text: str) -> bool:
        """Tell whether a secret was asked for, or was known before and stands in the text."""
        nonce = getattr(self._request, "_csp_nonce", None)
        known = [
            str(self._context.get("csrf_token", "")) if self._was_used else "",
            str(nonce) if nonce else "",
        ]
        return self._is_new or any(secret and secret in text for secret in known)


class FragmentNode(Node):
    """A tag that is made of a function which returns a decorator, and what stands between it and its end."""

    def __init__(
        self,
        tag: str,
        make: Callable[..., FragmentDecorator],
        takes_context: bool,
        args: Sequence[FilterExpression],
        kwargs: Mapping[str, FilterExpression],
        nodelist: NodeList,
        digest: bytes,
    ) -> None:
        self.tag = tag
        self.make = make
        self.takes_context = takes_context
        self.args = args
        self.kwargs = kwargs
        self.nodelist = nodelist
        self.digest = digest
        """Stands for the source between the tags."""
        self.has_blocks: bool = bool(nodelist.get_nodes_by_type(BlockNode))

    def render(self, context: Context) -> SafeString:
        before = (context,) if self.takes_context else ()
        args = [arg.resolve(context) for arg in self.args]
        kwargs = {name: arg.resolve(context) for name, arg in self.kwargs.items()}
        fragment = Fragment(self, context)
        try:
            decorate = self.make(*before, *args, **kwargs)
            if not callable(decorate):
                raise ConfigurationError(f"{self.tag}() must return a decorator, got {decorate!r}")
            return SafeString(decorate(fragment)())
        except Unstored as unstored:
            return SafeString(unstored.value)
        except (ConfigurationError, KeyingError) as error:
            if fragment.has_failed:
                raise
            raise TemplateSyntaxError(f"{{% {self.tag} %}}: {error}") from error


class CacheopsLibrary(Library):
    """A library of template tags that knows `decorator_tag` as well."""

    def decorator_tag(self, func: Callable[..., Any] | None = None, takes_context: bool = False) -> Any:
        """Make a function that returns a decorator a tag which decorates what stands between it and its end.

        The tag has the function's name and arguments; with ``takes_context`` the context comes first. A decorator
        that returns what it is given caches nothing.
        """
        if func is None:
            return partial(self.decorator_tag, takes_context=takes_context)
        signature = inspect.signature(func)
        self.tag(func.__name__, partial(_compile, func, signature, takes_context))
        return func


def kept(results: Results, name: Any, extras: Sequence[Any]) -> FragmentDecorator:
    """Return what keeps the output of a fragment by its name and extras, to be dropped by them."""
    if not name:
        raise ConfigurationError(f"a fragment needs a name, got {name!r}: write it in quotes")
    row = _row(name, extras)

    def decorate(fragment: Any) -> Callable[[], Any]:
        key = partial(_key, row, results, fragment)
        return partial(results.answer, fragment, key, fragment, _depends_on(row))

    return decorate


def _key(row: str, results: Results, fragment: Any) -> bytes:
    told = fragment.__cache_key__()
    try:
        return _known_key(row, results.__cache_key__(), *told)
    except TypeError:
        # A context may hold anything as its settings, what cannot be hashed too.
        return stable_key("fragment", row, results.__cache_key__(), told)


@lru_cache(maxsize=4096, typed=True)
def _known_key(row: str, results: bytes, *told: Any) -> bytes:
    return stable_key("fragment", row, results, told)


@lru_cache(maxsize=4096)
def _depends_on(row: str) -> Dependencies:
    return Dependencies.coerce({FRAGMENTS: [{"fragment": row}]})


def invalidate_fragment(name: str, *extras: Any) -> None:
    """Drop what is kept of the fragments of this name and extras, in every language."""
    for cache in caches.everyone():
        cache.invalidate(FRAGMENTS, {"fragment": _row(name, extras)})


async def ainvalidate_fragment(name: str, *extras: Any) -> None:
    """Drop what is kept of fragments as `invalidate_fragment` does."""
    await sync_to_async(invalidate_fragment)(name, *extras)


def _row(name: Any, extras: Sequence[Any]) -> str:
    """Return what stands for a fragment's name and extras."""
    # Templates mark as safe what is written in them, which makes it no other name. (str() leaves it as it is.)
    plain = [str.__str__(extra) if isinstance(extra, SafeString) else extra for extra in extras]
    text = str.__str__(str(name))
    if PLAIN.issuperset(map(type, plain)):
        return _known_row(text, *plain)
    return stable_key(text, plain).hex()


@lru_cache(maxsize=4096, typed=True)
def _known_row(text: str, *extras: Any) -> str:
    return stable_key(text, list(extras)).hex()


def _written(parameter: inspect.Parameter) -> str:
    """Return a parameter as it is written in a tag."""
    name = parameter.name
    return f"[{name}=<{name}>]" if parameter.kind is parameter.KEYWORD_ONLY else f"<{name}>"


def _compile(
    func: Callable[..., Any], signature: inspect.Signature, takes_context: bool, parser: Parser, token: Token
) -> FragmentNode:
    tag, *bits = token.split_contents()
    args, kwargs = [], {}
    for bit in bits:
        keyword = KEYWORD.fullmatch(bit)
        if keyword:
            kwargs[keyword[1]] = parser.compile_filter(keyword[2])
        else:
            args.append(parser.compile_filter(bit))
    before = ["context"] if takes_context else []
    try:
        signature.bind(*before, *args, **kwargs)
    except TypeError as error:
        parameters = " ".join(map(_written, [*signature.parameters.values()][len(before) :]))
        raise TemplateSyntaxError(
            f"{{% {tag} %}}: {error}; it is written {{% {tag} {parameters} %}}"
        ) from error
    # The parser takes tokens from the end of its list.
    tokens: list[Any] = list(parser.tokens)
    nodelist = parser.parse((f"end{tag}",))
    parser.delete_first_token()
    source = [(part.token_type.value, part.contents) for part in tokens[len(parser.tokens) :]]
    return FragmentNode(tag, func, takes_context, args, kwargs, nodelist, stable_key(source))
