"""Fragments of templates: kept byte for byte, dropped by samples and by name, and nobody's secret."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.middleware.csrf import get_token
from django.template import Context, Engine, RequestContext, TemplateSyntaxError
from django.test import RequestFactory, override_settings
from django.utils import translation
from django.utils.safestring import SafeString, mark_safe
from testapp.models import Category, Post, Tag

from cacheops_core.errors import CacheMiss
from cacheops_core.keys import stable_key
from cacheops_django.fragments import CacheopsLibrary, invalidate_fragment
from cacheops_django.functions import cached, cached_as

made: list[str] = []
register = CacheopsLibrary()


@register.decorator_tag(takes_context=True)
def cache_menu(context: Context, menu_name: str, *, timeout: int = 60) -> Any:
    """A tag of a project's own, as in the documentation."""
    if context.get("is_staff"):
        return lambda func: func
    return cached_as(Tag, extra=("menu", menu_name, translation.get_language()), timeout=timeout)


@register.decorator_tag
def for_a_minute(name: str) -> Any:
    return cached(timeout=60, extra=name)


@register.decorator_tag
def wrong() -> None:
    return None


@register.simple_tag
def noting(text: str = "") -> str:
    made.append(text)
    return f"{len(made)}{text}"


SITE = {
    "base.html": "<{% cached 60 'page' %}{% block content %}base {% noting %}{% endblock %}{% endcached %}>",
    "one.html": "{% extends 'base.html' %}{% block content %}one {% noting %}{% endblock %}",
    "two.html": "{% extends 'base.html' %}{% block content %}two {% noting %}{% endblock %}",
    "menu.html": "{% cached 60 'menu' %}menu {% noting %}{% endcached %}",
    "first.html": "first {% include 'menu.html' %}",
    "second.html": "second {% include 'menu.html' %}",
}


@pytest.fixture(autouse=True)
def _site(db: None) -> Iterator[None]:
    made.clear()
    with override_settings(SECRET_KEY="a" * 50):
        yield


@pytest.fixture
def engine() -> Engine:
    return Engine(
        loaders=[("django.template.loaders.locmem.Loader", SITE)],
        libraries={"cacheops": "cacheops_django.templatetags.cacheops", "mine": __name__},
        builtins=["cacheops_django.templatetags.cacheops", __name__],
    )


@pytest.fixture
def render(engine: Engine) -> Callable[..., str]:
    def rendered(source: str, context: Context | None = None, **values: Any) -> str:
        return engine.from_string(source).render(context or Context(values))

    return rendered


Render = Callable[..., str]


# What drops a fragment


def test_a_fragment_is_kept_until_its_sample_changes(render: Render) -> None:
    listed = "{% for tag in tags %}{{ tag.name }} {% endfor %}{% noting %}"
    source = f"{{% cached_as tags 0 'tags' %}}{listed}{{% endcached_as %}}"
    tags = Tag.objects.nocache().order_by("pk")
    assert [render(source, tags=tags.all()) for _ in range(2)] == ["1", "1"]
    Tag.objects.create(name="new")
    assert render(source, tags=tags.all()) == "new 2"


def test_a_fragment_can_depend_on_an_object_or_on_a_manager(render: Render) -> None:
    one, other = Category.objects.create(title="one"), Category.objects.create(title="other")
    source = "{% cached_as sample None 'c' sample.pk %}{% noting %}{% endcached_as %}"
    assert render(source, sample=one) == "1"
    other.save()
    assert render(source, sample=one) == "1"
    one.save()
    assert render(source, sample=one) == "2"
    posts = "{% cached_as one.posts 60 'posts' %}{% noting %}{% endcached_as %}"
    assert [render(posts, one=one) for _ in range(2)] == ["3", "3"]
    Post.objects.create(category=other, title="of the other")
    assert render(posts, one=one) == "3"
    Post.objects.create(category=one, title="of the one")
    assert render(posts, one=one) == "4"


def test_a_fragment_can_be_kept_for_a_time(render: Render) -> None:
    for timeout in ("60", "0.5", "0", "None", "timeout"):
        source = f"{{% cached {timeout} 'timed' {timeout} %}}{{% noting %}}{{% endcached %}}"
        assert render(source, timeout=5) == render(source, timeout=5)


def test_a_fragment_is_dropped_by_its_name_and_extras(render: Render) -> None:
    menu = "{% cached 60 'menu' user.pk 'top' %}{% noting %}{% endcached %}"
    tags = "{% cached_as tags 60 'menu' user.pk 'top' %}{% noting %}{% endcached_as %}"
    one, other = (User.objects.create(username=name) for name in ("one", "other"))
    values = {"tags": Tag.objects.all(), "user": one}
    assert [render(menu, **values), render(tags, **values), render(menu, user=other)] == ["1", "2", "3"]
    invalidate_fragment("menu", one.pk, "top")
    assert [render(menu, **values), render(tags, **values), render(menu, user=other)] == ["4", "5", "3"]


def test_a_fragment_is_dropped_in_every_language(render: Render) -> None:
    menu = "{% cached 60 'menu' %}{% noting %}{% endcached %}"

    def in_languages() -> list[str]:
        found = []
        for language in ("de", "fr"):
            with translation.override(language):
                found.append(render(menu))
        return found

    assert [in_languages(), in_languages()] == [["1", "2"]] * 2
    invalidate_fragment("menu")
    assert in_languages() == ["3", "4"]


def test_a_profiles_timeout_is_taken_where_none_is_given(render: Render) -> None:
    source = "{% cached_as tags 0 'tags' %}{% noting %}{% endcached_as %}"
    with (
        override_settings(CACHEOPS={}),
        pytest.raises(TemplateSyntaxError, match=r"{% cached_as %}: testapp\.Tag has no"),
    ):
        render(source, tags=Tag.objects.all())


def test_disabled_a_fragment_is_rendered_each_time(render: Render) -> None:
    with override_settings(CACHEOPS_ENABLED=False):
        assert [render("{% cached 60 'x' %}{% noting %}{% endcached %}") for _ in range(2)] == ["1", "2"]


# What tells fragments apart


@pytest.mark.parametrize(
    "one, other",
    [
        pytest.param(
            "{% cached 60 'a' %}{{ x }}{% noting %}{% endcached %}",
            "{% cached 60 'b' %}{{ x }}{% noting %}{% endcached %}",
            id="name",
        ),
        pytest.param(
            "{% cached 60 'a' 1 %}{% noting %}{% endcached %}",
            "{% cached 60 'a' 2 %}{% noting %}{% endcached %}",
            id="extra",
        ),
        pytest.param(
            "{% cached 60 'a' 1 %}{% noting %}{% endcached %}",
            "{% cached 60 'a' '1' %}{% noting %}{% endcached %}",
            id="type of extra",
        ),
        pytest.param(
            "{% cached 60 'a' 'b:c' %}{% noting %}{% endcached %}",
            "{% cached 60 'a' 'b' 'c' %}{% noting %}{% endcached %}",
            id="two extras",
        ),
        pytest.param(
            "{% cached 60 'a' %}{% noting %}{% endcached %}",
            "{% cached 60 'a' %}{% noting %} {% endcached %}",
            id="source",
        ),
        pytest.param(
            "{% cached 60 'a' %}{{ t }}{% noting %}{% endcached %}",
            "{% autoescape off %}{% cached 60 'a' %}{{ t }}{% noting %}{% endcached %}{% endautoescape %}",
            id="escaping",
        ),
    ],
)
def test_fragments_that_differ_are_kept_apart(render: Render, one: str, other: str) -> None:
    for source in (one, other, one, other):
        render(source)
    assert len(made) == 2


def test_a_name_may_be_a_variable(render: Render) -> None:
    source = "{% cached 60 name %}{% noting %}{% endcached %}"
    assert [render(source, name=name) for name in ("a", mark_safe("a"), "b")] == ["1", "1", "2"]


def test_what_a_user_writes_cannot_reach_another_fragment(render: Render) -> None:
    source = "{% cached 60 'search' words page %}{{ words }}{% noting %}{% endcached %}"
    asked = [("a", "b"), ("a:b", ""), ("ab", ""), ("a','b", ""), ("a\nb", ""), ("*", ""), ("a" * 5000, "")]
    for words, page in asked:
        render(source, words=words, page=page)
    assert len(made) == len(asked)


def test_a_block_is_that_of_the_template_that_is_rendered(engine: Engine) -> None:
    pages = [engine.get_template(name) for name in ("base.html", "one.html", "two.html")]
    for _ in range(2):
        assert [page.render(Context()) for page in pages] == ["<base 1>", "<one 2>", "<two 3>"]


def test_an_included_fragment_is_shared(engine: Engine) -> None:
    assert engine.get_template("first.html").render(Context()) == "first menu 1"
    assert engine.get_template("second.html").render(Context()) == "second menu 1"


def test_fragments_can_be_nested_and_stand_in_loops(render: Render) -> None:
    source = (
        "{% for n in numbers %}{% cached 60 'outer' n %}{{ n }}:{% for m in numbers %}"
        "{% cached 60 'inner' m %}{{ m }}{% endcached %},{% endfor %}{% noting %};{% endcached %}{% endfor %}"
    )
    assert [render(source, numbers=[1, 2, 3]) for _ in range(2)] == ["1:1,2,3,1;2:1,2,3,2;3:1,2,3,3;"] * 2


# Byte for byte


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("\n  <p>\n\t{{ text }}  \n</p>\n\n", id="white space"),
        pytest.param("{{ text }}{{ text|safe }}{{ safe }}", id="escaping"),
        pytest.param("{% autoescape off %}{{ text }}{% endautoescape %}", id="no escaping"),
        pytest.param(
            "{% for n in numbers %}{{ forloop.counter }}{{ n }}{% cycle 'a' 'b' %}{% endfor %}", id="loop"
        ),
        pytest.param("{% verbatim %}{{ raw }}{% endcached %}{% endverbatim %}", id="verbatim"),
        pytest.param("{% comment %}{% endcached %}{% endcomment %}{# {% endcached %} #}", id="comments"),
        pytest.param("{% with text='inner' %}{{ text }}{% endwith %}{{ text }}", id="scopes"),
        pytest.param("é\u2028\U0001f600\x00", id="characters"),
        pytest.param("", id="nothing"),
    ],
)
def test_output_is_what_it_would_be_without_the_tag(render: Render, body: str) -> None:
    values = {"text": "<b>&'\"", "safe": mark_safe("<i>"), "numbers": [3, 1]}
    plain = render(f"a{body}b", **values)
    for _ in range(2):
        assert render(f"a{{% cached 60 'x' %}}{body}{{% endcached %}}b", **values) == plain
        assert render(f"a{{% for_a_minute 'x' %}}{body}{{% endfor_a_minute %}}b", **values) == plain


def test_output_is_safe_whatever_the_serializer_makes_of_it(render: Render) -> None:
    for serializer in ("pickle", "json"):
        with override_settings(CACHEOPS_SERIALIZER=serializer):
            for _ in range(2):
                assert (
                    render(
                        "{% filter lower %}{% cached 60 'x' %}<B>{{ t }}{% endcached %}{% endfilter %}", t="<"
                    )
                    == "<b>&lt;"
                )
                assert isinstance(render("{% cached 60 'x' %}<B>{% endcached %}"), SafeString)


# Nobody's secret


def test_a_token_against_forged_requests_is_not_kept(engine: Engine) -> None:
    form = engine.from_string("{% cached 60 'form' %}{% csrf_token %}{% endcached %}")
    twice = engine.from_string("{% csrf_token %}{% cached 60 'form' %}<p>{{ csrf_token }}</p>{% endcached %}")
    own = engine.from_string("{{ csrf_token|slice:':1' }}{% cached 60 'own' %}{% noting %}{% endcached %}")
    seen = set()
    for template in (form, form, twice, twice):
        request = RequestFactory().get("/")
        found = re.findall(r"\w{64}", template.render(token_context(request)))
        assert len({*found}) == 1
        assert request.META["CSRF_COOKIE_NEEDS_UPDATE"]
        seen.update(found)
    assert len(seen) == 4
    for _ in range(2):
        own.render(token_context(RequestFactory().get("/")))
    assert len(made) == 1


def token_context(request: Any) -> RequestContext:
    context = RequestContext(request)
    context["csrf_token"] = _Lazy(request)
    return context


class _Lazy:
    """The token as Django's context processor gives it: made when it is first shown, and the same from then on."""

    def __init__(self, request: Any) -> None:
        self.request = request
        self.token = ""

    def __str__(self) -> str:
        self.token = self.token or get_token(self.request)
        return self.token


# A project's own tags


def test_a_tag_is_made_of_a_decorator(render: Render) -> None:
    top, bottom = (
        "{% cache_menu '" + name + "' %}menu {% noting %}{% endcache_menu %}" for name in ("top", "bottom")
    )
    assert [render(top), render(bottom), render(top)] == ["menu 1", "menu 2", "menu 1"]
    assert [render(top, is_staff=True) for _ in range(2)] == ["menu 3", "menu 4"]
    Tag.objects.create(name="new")
    assert render(top) == "menu 5"


def test_a_tag_takes_arguments_as_its_function_does(render: Render) -> None:
    assert render("{% cache_menu menu_name='top' timeout=5 %}{% noting %}{% endcache_menu %}") == "1"
    assert render("{% cache_menu name|default:'a=b' timeout=5 %}{% noting %}{% endcache_menu %}") == "2"


def test_the_library_is_loaded_by_its_name(render: Render) -> None:
    assert render("{% load cacheops mine %}{% cached 60 'x' %}y{% endcached %}") == "y"


# Mistakes


@pytest.mark.parametrize(
    "source, message",
    [
        pytest.param(
            "{% cached %}{% endcached %}",
            r"'timeout'; it is written {% cached <timeout> <fragment_name> <extra> \[near=<near>\] %}",
            id="nothing",
        ),
        pytest.param(
            "{% cached_as tags 0 %}{% endcached_as %}",
            r"{% cached_as %}: missing a required argument: 'fragment_name'",
            id="no name",
        ),
        pytest.param(
            "{% cached 60 'x' key=1 %}{% endcached %}",
            r"{% cached %}: got an unexpected keyword argument 'key'",
            id="keyword",
        ),
        pytest.param("{% cached 60 'x' %}", r"Unclosed tag on line 1: 'cached'", id="no end"),
        pytest.param("{% cached 60 'x' %}{% endcached_as %}", r"expected 'endcached'", id="wrong end"),
        pytest.param(
            "{% cached 60 x %}{% endcached %}",
            r"{% cached %}: a fragment needs a name, got (''|None): write it in quotes",
            id="name without quotes",
        ),
        pytest.param(
            "{% cached 'soon' 'x' %}{% endcached %}",
            r"{% cached %}: timeout must be a number of seconds",
            id="timeout",
        ),
        pytest.param(
            "{% cached_as nothing 0 'x' %}{% endcached_as %}",
            r"{% cached_as %}: a sample must be a queryset, a model or an instance, got",
            id="sample",
        ),
        pytest.param(
            "{% cached 60 'x' thing %}{% endcached %}",
            r"{% cached %}: parts\[1\]\[0\] is a builtins.object, which has no stable key",
            id="extra",
        ),
        pytest.param(
            "{% wrong %}{% endwrong %}",
            r"{% wrong %}: wrong\(\) must return a decorator, got None",
            id="no decorator",
        ),
    ],
)
def test_a_mistake_names_its_tag(render: Render, source: str, message: str) -> None:
    with pytest.raises(TemplateSyntaxError, match=message):
        render(source, thing=object())


def test_what_a_fragment_raises_comes_out_as_it_is(render: Render) -> None:
    def missing() -> None:
        raise CacheMiss("mine")

    with pytest.raises(CacheMiss, match="mine"):
        render("{% cached 60 'x' %}{{ missing }}{% endcached %}", missing=missing)
    with pytest.raises(TypeError, match="no stable key") as caught:
        render("{% cached 60 'x' %}{{ keyed }}{% endcached %}", keyed=lambda: stable_key(object()))
    assert not isinstance(caught.value, TemplateSyntaxError)
