"""What users write reaches no key, table or file but its own, and one visitor's page is never another's."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from answers import is_cached, is_right, keep
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpResponse
from django.template import Context, Engine
from django.test import RequestFactory
from django.utils.functional import SimpleLazyObject
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from testapp.models import Awkward, Category, Post

from cacheops_core.keys import stable_key
from cacheops_core.testing import Server
from cacheops_django import caches
from cacheops_django.fragments import invalidate_fragment
from cacheops_django.functions import cached
from cacheops_django.views import cached_view

pytestmark = pytest.mark.django_db

quick = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])

QUOTED = rb"[\w.~%-]+"
OURS = re.compile(
    rb"cacheops:(e:[0-9a-f]{32}(:old)?|[gsf]:\{%b\}|c:\{%b\}:(#[0-9a-f]{40}|[\w.~%%=&-]*)|l:\{[0-9a-f]+\}|w:\{[0-9a-f]+\}:[0-9a-f]+)"
    % (QUOTED, QUOTED)
)
"""All that a key may be, whatever its parts were made from."""


def strange_keys(server: Server) -> list[bytes]:
    """Return the keys on the server that are not made as ours are."""
    with server.client() as client:
        return [key for key in client.scan_iter() if not OURS.fullmatch(key) and b"{counts}" not in key]


# Visitors


made: list[str] = []


@pytest.fixture(autouse=True)
def _nothing_made() -> None:
    made.clear()


@cached_view(timeout=60)
def greeting(request: Any) -> HttpResponse:
    made.append(str(request.user))
    return HttpResponse(f"Hello {request.user}")


def greeted(user: Any) -> bytes:
    request = RequestFactory().get("/")
    request.user = user
    return greeting(request).content


EAGER: dict[str, Callable[[User], Any]] = {
    "an object": lambda user: user,
    "a lazy object that has been looked at": lambda user: looked_at(SimpleLazyObject(lambda: user)),
    "an object of another kind": lambda user: Visitor(user.username),
}


class Visitor:
    """Who asks, in the words of a library that has no table of users."""

    is_authenticated = True

    def __init__(self, name: str) -> None:
        self.name = name

    def __str__(self) -> str:
        return self.name


def looked_at(lazy: Any) -> Any:
    assert lazy.is_authenticated
    return lazy


@pytest.mark.parametrize("as_known", EAGER.values(), ids=EAGER)
def test_a_page_for_a_visitor_whom_middleware_knows_is_for_nobody_else(
    as_known: Callable[[User], Any],
) -> None:
    # The story: a site's own middleware makes request.user from a token before any view can be seen to look at one.
    names = ["one", "other"]
    for _ in range(2):
        for number, name in enumerate(names, start=1):
            assert greeted(as_known(User(pk=number, username=name))) == f"Hello {name}".encode()
        assert greeted(AnonymousUser()) == b"Hello AnonymousUser"
    assert made == [*names, "AnonymousUser"]


def test_a_page_that_finds_out_who_asks_by_a_way_of_its_own_is_not_kept() -> None:
    @cached_view(timeout=60)
    def view(request: Any) -> HttpResponse:
        request.user = User(username=request.headers["X-Token"], pk=1)
        return HttpResponse(f"Hello {request.user}")

    for name in ["one", "other"] * 2:
        assert view(RequestFactory().get("/", headers={"x-token": name})).content == f"Hello {name}".encode()


def test_a_visitor_who_is_found_out_by_a_cookie_shares_pages_with_that_cookie() -> None:
    @cached_view(timeout=60)
    def view(request: Any) -> HttpResponse:
        made.append("page")
        return HttpResponse(f"Hello {request.user}")

    for name in ["one", "other"] * 3:
        request: Any = RequestFactory().get("/")
        request.COOKIES["token"] = name
        request.user = SimpleLazyObject(lambda request=request: User(username=request.COOKIES["token"]))
        assert view(request).content == f"Hello {name}".encode()
    assert len(made) == 3


LOOKS: dict[str, Callable[[dict[str, str]], object]] = {
    "[]": lambda cookies: cookies["theme"],
    "get": lambda cookies: cookies.get("theme"),
    "in": lambda cookies: "theme" in cookies and "dark" in cookies.values(),
    "pop": lambda cookies: cookies.pop("theme"),
    "popitem": lambda cookies: cookies.popitem(),
    "setdefault": lambda cookies: cookies.setdefault("theme", "none"),
    "dict": dict,
    "**": lambda cookies: {**cookies},
    "list": lambda cookies: list(cookies.items()),
    "reversed": lambda cookies: [cookies[name] for name in reversed(cookies)],
    "text": str,
    "repr": repr,
    "==": lambda cookies: cookies == {"theme": "dark"},
    "!=": lambda cookies: cookies != {"theme": "dark"},
    "|": lambda cookies: cookies | {},
    "| from the right": lambda cookies: {} | cookies,
    "copy": lambda cookies: cookies.copy(),
    "a pattern": lambda cookies: [theme for case in [cookies] for theme in [matched(case)]],
}


def matched(cookies: dict[str, str]) -> str | None:
    match cookies:
        case {"theme": theme}:
            return theme
    return None


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_a_page_differs_by_cookies_however_it_has_looked_at_them(
    look: Callable[[dict[str, str]], object],
) -> None:
    view = cached_view(timeout=60)(lambda request: HttpResponse(str(look(request.COOKIES))))
    bare = lambda request: HttpResponse(str(look(request.COOKIES)))  # noqa: E731
    for theme in ["dark", "light"] * 3:
        requests = [RequestFactory().get("/") for _ in range(2)]
        for request in requests:
            request.COOKIES["theme"] = theme
        assert view(requests[0]).content == bare(requests[1]).content


# Names and values


def test_tables_and_columns_may_be_called_anything_that_the_database_takes(cache_server: Server) -> None:
    one = Awkward.objects.create(field=1, text="a")
    asks = [lambda number=number: list(Awkward.objects.filter(field=number).cache()) for number in (1, 2)]
    for ask in asks:
        keep(ask)
    one.text = "b"
    one.save()
    assert not is_cached(asks[0])
    assert is_cached(asks[1])
    assert strange_keys(cache_server) == []


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=200)


@quick
@given(text=TEXTS, number=st.integers(-(2**63), 2**63 - 1))
def test_values_may_be_anything(text: str, number: int, cache_server: Server) -> None:
    category, _ = Category.objects.get_or_create(title="of values", slug="s")
    posts = lambda: list(Post.objects.filter(title=text[:100], category=category))  # noqa: E731
    slugs = lambda: list(Category.objects.filter(slug=text, pk=number))  # noqa: E731
    for ask in (posts, slugs):
        keep(ask)
    Post.objects.create(title=text[:100], category=category)
    assert is_right(posts)
    assert is_cached(slugs)
    assert strange_keys(cache_server) == []


EXTRAS = TEXTS | st.integers() | st.none() | st.booleans()
NAMES = st.tuples(TEXTS.filter(bool), EXTRAS, EXTRAS)
FRAGMENT = "{% cached 60 name one two %}{{ count }}{% endcached %}"


@quick
@given(names=st.lists(NAMES, min_size=2, max_size=4, unique_by=repr))
def test_a_fragment_is_found_and_dropped_by_its_own_name_only(names: list[Any], cache_server: Server) -> None:
    engine = Engine(builtins=["cacheops_django.templatetags.cacheops"])
    template = engine.from_string(FRAGMENT)

    def rendered(count: int) -> list[str]:
        contexts = [dict(zip(("name", "one", "two"), name, strict=True)) for name in names]
        return [
            template.render(Context(context | {"count": f"{count}.{number}"}))
            for number, context in enumerate(contexts)
        ]

    caches.current().invalidate_all()
    assert rendered(1) == rendered(2) == [f"1.{number}" for number in range(len(names))]
    invalidate_fragment(*names[0])
    assert rendered(3) == ["3.0", *(f"1.{number}" for number in range(1, len(names)))]
    assert strange_keys(cache_server) == []


KEYS = st.recursive(
    TEXTS | st.binary() | st.integers() | st.floats(allow_nan=False) | st.none() | st.booleans(),
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=2),
    max_leaves=4,
)


@quick
@given(keys=st.lists(KEYS, min_size=2, max_size=4, unique_by=stable_key))
def test_keys_and_arguments_may_be_anything(keys: list[Any], cache_server: Server) -> None:
    told = cached(timeout=60)(repr)
    assert [told(key) for _ in range(2) for key in keys] == [repr(key) for key in keys] * 2
    caches.current().set_many(
        dict.fromkeys(keys, 1) | {(key, "own"): number for number, key in enumerate(keys)}
    )
    assert [caches.current().get((key, "own")) for key in keys] == list(range(len(keys)))
    with caches.current().lock(keys[0]):
        assert strange_keys(cache_server) == []
