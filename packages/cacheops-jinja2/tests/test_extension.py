"""What the tags keep, apart from what else they keep it, and what they say of mistakes."""

from __future__ import annotations

import asyncio
import traceback
from datetime import timedelta
from typing import Any

import pytest
from jinja2 import ChainableUndefined, Environment, StrictUndefined, TemplateSyntaxError, UndefinedError
from jinja2.nativetypes import NativeEnvironment
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

from cacheops_core.errors import ConfigurationError, KeyingError


def twice(environment: Environment, source: str, **context: Any) -> list[str]:
    """Return what an unnamed template prints when it is rendered, and when it is rendered again."""
    template = environment.from_string(source)
    return [template.render(context), template.render(context)]


# What is kept


def test_a_fragment_is_rendered_once(environment):
    assert twice(environment, "{{ tick() }} {% cached %}{{ tick() }}{% endcached %}") == ["1 2", "3 2"]


def test_a_fragment_is_kept_for_the_timeout_of_the_cache_unless_it_has_its_own(environment, store):
    environment.from_string("{% cached %}a{% endcached %}{% cached timeout=5 %}b{% endcached %}").render()
    assert store.timeouts == ["its own", 5]


@pytest.mark.parametrize("given, kept", [(2.5, 2.5), (timedelta(minutes=1), 60.0), (None, None)])
def test_a_timeout_is_a_number_a_timedelta_or_none(environment, store, given, kept):
    environment.from_string("{% cached timeout=given %}{% endcached %}").render(given=given)
    assert store.timeouts == [kept]


def test_the_timeout_may_stand_alone(environment, store):
    environment.from_string(
        "{% cached 60 %}{% endcached %}{% cached a * 2, extra=1 %}{% endcached %}"
    ).render(a=5)
    assert store.timeouts == [60, 10]


@pytest.mark.parametrize(
    "options", ["keep_fresh=True", "keep_fresh=False", "lock=False", "lock=None", "lock=unknown"]
)
def test_options_that_change_nothing_are_taken(environment, options):
    assert twice(environment, f"{{% cached {options} %}}{{{{ tick() }}}}{{% endcached %}}") == ["1", "1"]


def test_options_are_expressions(environment, store):
    source = "{% set a = 2 %}{% cached extra=(a, b|upper), timeout=a * 30 %}{{ b }}{% endcached %}"
    assert twice(environment, source, b="x") == ["x", "x"]
    assert store.timeouts == [60]


def test_a_text_is_kept_as_text(environment, store):
    environment.from_string(
        "{% autoescape true %}{% cached %}<{{ '<' }}{% endcached %}{% endautoescape %}"
    ).render()
    assert [type(text) for text in store.texts.values()] == [str]
    assert [*store.texts.values()] == ["<&lt;"]


def test_an_empty_text_is_kept(environment):
    assert twice(environment, "{% cached %}{% if tick() > 1 %}again{% endif %}{% endcached %}") == ["", ""]


def test_an_error_inside_is_raised_and_nothing_is_kept(environment, store):
    template = environment.from_string("{% cached %}{{ 1 // zero }}{% endcached %}")
    with pytest.raises(ZeroDivisionError):
        template.render(zero=0)
    assert template.render(zero=1) == "1"


def test_an_error_inside_has_the_line_of_the_template(make):
    environment = make({"page.html": "\n{% cached %}\n\n{{ 1 // zero }}\n{% endcached %}"})
    with pytest.raises(ZeroDivisionError) as raised:
        environment.get_template("page.html").render(zero=0)
    # Frames of Jinja2's stand between those of the template.
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(raised.tb)
        if frame.name.startswith(("top", "template"))
    ]
    assert lines[0] == 2
    assert lines[-1] == 4


# What is kept apart


@pytest.mark.parametrize(
    "one, other",
    [(1, 2), (1, "1"), (1, True), (None, ""), ([1, 2], [2, 1]), ({"a": 1}, {"a": 2}), ("a", Markup("a"))],
    ids=repr,
)
def test_texts_are_kept_apart_by_extra(environment, one, other):
    template = environment.from_string("{% cached extra=x %}{{ tick() }}{% endcached %}")
    assert [template.render(x=x) for x in (one, other, one, other)] == ["1", "2", "1", "2"]


def test_texts_are_not_kept_apart_by_anything_else_around_them(environment):
    template = environment.from_string("{% cached %}{{ x }}{% endcached %}")
    assert [template.render(x=x) for x in "ab"] == ["a", "a"]


def test_two_fragments_of_one_template_are_two(environment):
    source = "{% cached %}{{ tick() }}{% endcached %}{% cached %}{{ tick() }}{% endcached %}"
    assert twice(environment, source) == ["12", "12"]


def test_templates_are_told_apart_by_name(make):
    environment = make({"a.html": "{% cached %}{{ tick() }}{% endcached %}"} | {
        "b.html": "{% cached %}{{ tick() }}{% endcached %}"
    })  # fmt: skip
    assert [environment.get_template(name).render() for name in ("a.html", "b.html", "a.html")] == [
        "1",
        "2",
        "1",
    ]


def test_unnamed_templates_do_not_collide(environment):
    sources = ["a {% cached %}{{ tick() }}{% endcached %}", "b {% cached %}{{ tick() }}{% endcached %}"]
    assert [environment.from_string(source).render() for source in sources] == ["a 1", "b 2"]
    assert [environment.from_string(source).render() for source in sources] == ["a 1", "b 2"]


def test_escaped_and_unescaped_texts_are_kept_apart(environment):
    source = "{% autoescape safe %}{% cached %}{{ a }}{% endcached %}{% endautoescape %}"
    template = environment.from_string(source)
    assert [template.render(a="<", safe=safe) for safe in (True, False, True, False)] == [
        "&lt;",
        "<",
        "&lt;",
        "<",
    ]


def test_an_unknown_name_in_extra_is_as_the_environment_says(make):
    assert twice(make(undefined=ChainableUndefined), "{% cached extra=a.b %}{{ tick() }}{% endcached %}") == [
        "1",
        "1",
    ]
    with pytest.raises(UndefinedError, match="'a' is undefined"):
        twice(make(undefined=StrictUndefined), "{% cached extra=a %}{% endcached %}")


# What stands around and inside


def test_a_fragment_sees_the_variables_around_it(environment):
    source = (
        "{% set a = 1 %}{% for b in [2] %}{% with c = 3 %}{% cached %}{{ a }}{{ b }}{{ c }}{{ loop.index }}{{ d }}"
        "{% endcached %}{% endwith %}{% endfor %}"
    )
    assert twice(environment, source, d=4) == ["12314", "12314"]


def test_what_is_set_inside_stays_inside(environment):
    source = "{% set a = 1 %}{% cached %}{% set a = 2 %}{{ a }}{% endcached %}{{ a }}"
    assert twice(environment, source) == ["21", "21"]


def test_a_fragment_in_a_loop_is_told_by_extra(environment):
    source = "{% for i in 'aba' %}{% cached extra=i %}{{ i }}{{ tick() }}{% endcached %}{% endfor %}"
    assert twice(environment, source) == ["a1b2a1", "a1b2a1"]


def test_a_recursive_loop_goes_on_inside_of_a_fragment(environment):
    source = (
        "{% for i in tree recursive %}{% cached extra=i.n %}{{ i.n }}{{ tick() }}({{ loop(i.below) }}){% endcached %}"
        "{% endfor %}"
    )
    tree = [{"n": "a", "below": [{"n": "b", "below": []}]}]
    assert twice(environment, source, tree=tree) == ["a1(b2())", "a1(b2())"]


def test_fragments_stand_inside_of_fragments(environment, store):
    source = "{% cached %}a{{ tick() }}{% cached extra=1 %}b{{ tick() }}{% endcached %}c{% endcached %}"
    assert twice(environment, source) == ["a1b2c", "a1b2c"]
    assert sorted(store.texts.values()) == ["a1b2c", "b2"]


def test_a_macro_may_keep_its_text(environment):
    source = (
        "{% macro greet(name) %}{% cached extra=name %}{{ name }}{{ tick() }}{% endcached %}{% endmacro %}"
        "{{ greet('a') }}{{ greet('b') }}{{ greet('a') }}"
    )
    assert twice(environment, source) == ["a1b2a1", "a1b2a1"]


def test_a_fragment_may_call_the_caller_of_the_macro_around_it(environment):
    source = (
        "{% macro box() %}[{% cached %}{{ caller('x') }}{% endcached %}]{% endmacro %}"
        "{% call(a) box() %}{{ a }}{{ tick() }}{% endcall %}{% call(a) box() %}{{ tick() }}{{ a }}{% endcall %}"
    )
    assert twice(environment, source) == ["[x1][2x]", "[x1][2x]"]


def test_a_fragment_inside_of_another_reaches_the_caller_too(environment):
    source = (
        "{% macro box() %}{% cached %}{% cached %}{{ caller() }}{% endcached %}{% endcached %}{% endmacro %}"
        "{% call box() %}{{ tick() }}{% endcall %}"
    )
    assert twice(environment, source) == ["1", "1"]


def test_a_fragment_sees_all_arguments_of_the_macro_around_it(environment):
    source = (
        "{% macro f() %}{% cached extra=(varargs, kwargs) %}{{ varargs }}{{ kwargs }}{% endcached %}{% endmacro %}"
        "{{ f(1, a=2) }}{{ f(3) }}"
    )
    assert twice(environment, source) == ["(1,){'a': 2}(3,){}"] * 2


@pytest.mark.parametrize("name", ["caller", "kwargs", "varargs", "timeout", "extra", "context"])
def test_variables_may_have_the_names_of_arguments(environment, name):
    assert (
        twice(environment, f"{{% cached extra={name} %}}{{{{ {name} }}}}{{% endcached %}}", **{name: "x"})
        == ["x"] * 2
    )


def test_macros_and_calls_inside_of_a_fragment_have_callers_of_their_own(environment):
    source = (
        "{% cached %}{% macro box() %}<{{ caller() }}>{% endmacro %}{% call box() %}{{ tick() }}{% endcall %}"
        "{% endcached %}"
    )
    assert twice(environment, source) == ["<1>", "<1>"]


def test_fragments_stand_in_blocks_filters_and_assignments(environment):
    source = (
        "{% block a %}{% cached %}{{ tick() }}{% endcached %}{% endblock %}{% filter replace('2', '_') %}"
        "{% cached %}{{ tick() }}{% endcached %}{% endfilter %}{% set b %}{% cached %}{{ tick() }}{% endcached %}"
        "{% endset %}{{ b }}"
    )
    assert twice(environment, source) == ["1_3", "1_3"]


def test_filters_stand_inside_of_fragments(environment):
    source = "{% cached %}{% filter upper %}a{{ tick() }}{% endfilter %}{% endcached %}"
    assert twice(environment, source) == ["A1", "A1"]


def test_texts_stay_safe_to_print(make):
    source = "{% set a %}{% cached %}<b>{{ '<' }}{% endcached %}{% endset %}{{ a }}"
    assert twice(make(autoescape=True), source) == ["<b>&lt;", "<b>&lt;"]


@pytest.mark.parametrize(
    "options", [{}, {"trim_blocks": True, "lstrip_blocks": True}], ids=["plain", "trimmed"]
)
@pytest.mark.parametrize(
    "source",
    ["a\n  {% cached %}\n b \n  {% endcached %}\n c", "a  {%- cached -%}  b  {%- endcached -%}  c",
     "a {%+ cached +%}\n b {%+ endcached %}\n c"],
    ids=["bare", "minus", "plus"],
)  # fmt: skip
def test_whitespace_is_that_of_any_other_tag(make, source, options):
    environment = make(**options)
    other = source.replace("endcached", "endwith").replace("cached", "with")
    assert twice(environment, source) == [environment.from_string(other).render()] * 2


def test_tags_may_be_line_statements(make):
    source = "# cached extra=1\n{{ tick() }}\n# endcached\n"
    assert twice(make(line_statement_prefix="#"), source) == ["1\n", "1\n"]


def test_a_finalizer_sees_values_and_not_texts(make):
    environment = make(finalize=lambda value: f"<{value}>")
    assert twice(environment, "{% cached %}a{{ 1 }}{% endcached %}") == ["a<1>", "a<1>"]


def test_translations_are_told_by_extra(make):
    environment = make(extensions=("jinja2.ext.i18n", "jinja2.ext.do", "jinja2.ext.loopcontrols"))
    words: dict[str, str] = {}
    environment.install_gettext_callables(
        lambda text: words.get(text, text),
        lambda one, many, n: words.get(one if n == 1 else many, many),
        newstyle=True,
    )
    source = "{% cached extra=language %}{% trans n=2 %}one{% pluralize %}{{ n }} many{% endtrans %}{% endcached %}"
    template = environment.from_string(source)
    assert template.render(language="en") == "2 many"
    words["%(n)s many"] = "%(n)s viele"
    assert [template.render(language=language) for language in ("en", "de")] == ["2 many", "2 viele"]


def test_translations_inside_of_fragments_are_found(make):
    environment = make(extensions=("jinja2.ext.i18n",))
    found = environment.extract_translations(
        "{% cached extra=_('a') %}\n{% trans %}b{% endtrans %}{% endcached %}"
    )
    assert [text for _, _, text in found] == ["a", "b"]


def test_a_sandbox_has_fragments(make):
    environment = make(kind=ImmutableSandboxedEnvironment)
    assert twice(environment, "{% cached extra=[1] %}{{ tick() }}{% endcached %}") == ["1", "1"]


def test_a_native_environment_gets_fresh_objects(make, store):
    def native(source: str) -> Any:
        template = make(kind=NativeEnvironment).from_string(source)
        # Jinja2's own render() of these knows no async templates.
        return asyncio.run(template.render_async()) if template.environment.is_async else template.render()

    one, other = (native("{% cached %}{{ [1, 2] }}{% endcached %}") for _ in range(2))
    assert one == other == [1, 2]
    assert one is not other
    assert [native("{% cached %}a{{ tick() }}{% endcached %}") for _ in range(2)] == ["a1", "a1"]
    assert [*store.texts.values()] == ["a1"]


def test_an_overlay_has_the_cache_of_its_environment(environment):
    source = "{% cached %}{{ tick() }}{% endcached %}"
    assert twice(environment.overlay(trim_blocks=True), source) == ["1", "1"]
    assert twice(environment, source) == ["1", "1"]


def test_an_extension_that_is_added_later_keeps_the_cache(store):
    environment = Environment()
    environment.cacheops = store  # type: ignore[attr-defined]
    environment.add_extension("cacheops_jinja2.CacheopsExtension")
    assert twice(environment, "{% cached %}a{% endcached %}") == ["a", "a"]
    assert len(store.texts) == 1


# What is refused


@pytest.mark.parametrize(
    "source, line, message",
    [
        ("\n{% cached 5, 6 %}{% endcached %}", 2, "cached takes one timeout and no samples, got 2 values"),
        ("\n{% cached 5,\n timeout=6 %}{% endcached %}", 2, "cached takes timeout= once, got it twice"),
        ("\n{% cached extra=5, 6 %}{% endcached %}", 2, "cached takes its timeout before its options"),
        (
            "{% cached near=1 %}{% endcached %}",
            1,
            "cached takes timeout=, extra=, lock= and keep_fresh=, got near=",
        ),
        ("\n\n{% cached extra=1,\n extra=2 %}{% endcached %}", 4, "cached takes extra= once, got it twice"),
        ("{% cached timeout=5 extra=1 %}{% endcached %}", 1, "expected token ','"),
        ("{% cached timeout= %}{% endcached %}", 1, "unexpected 'end of statement block'"),
        ("\n{% cached_as %}{% endcached_as %}", 2, "cached_as needs a sample to depend on"),
        ("\n{% cached_as timeout=5 %}{% endcached_as %}", 2, "cached_as needs a sample to depend on"),
        (
            "{% cached_as timeout=5,\n a %}{% endcached_as %}",
            2,
            "cached_as takes its samples before its options",
        ),
        ("{% cached %}\n{% endcached_as %}", 2, "unknown tag 'endcached_as'.*looking for.*'endcached'"),
        ("{% if a %}{% cached %}\n{% endif %}", 2, "innermost block that needs to be closed is 'cached'"),
        ("{% endcached %}", 1, "unknown tag 'endcached'"),
    ],
)
def test_a_mistake_is_found_when_the_template_is_loaded(make, source, line, message):
    with pytest.raises(TemplateSyntaxError, match=message) as raised:
        make({"page.html": source}).get_template("page.html")
    assert (raised.value.name, raised.value.lineno) == ("page.html", line)


@pytest.mark.parametrize(
    "options, error, message",
    [
        (
            "timeout=0",
            ConfigurationError,
            "cached in 'page.html', line 2: timeout must be a number of seconds above 0",
        ),
        (
            "timeout=nobody",
            ConfigurationError,
            "cached in 'page.html', line 2: timeout must be .* got Undefined",
        ),
        (
            "lock=True",
            ConfigurationError,
            "cached in 'page.html', line 2 has lock=, which .*Store cannot do here: leave it out, or set",
        ),
        (
            "extra=a",
            KeyingError,
            "cached in 'page.html', line 2: extra is a builtins.object, which has no stable key: give",
        ),
    ],
)
def test_a_wrong_value_is_refused_with_its_place(make, options, error, message):
    environment = make({"page.html": f"\n{{% cached {options} %}}{{% endcached %}}"})
    with pytest.raises(error, match=message):
        environment.get_template("page.html").render(a=object())


def test_without_a_cache_it_is_said_where_to_put_one(make):
    environment = make({"page.html": "\n{% cached %}{% endcached %}"})
    environment.cacheops = None
    with pytest.raises(
        ConfigurationError, match=r"cached in 'page.html', line 2 has no cache: set environment.cacheops"
    ):
        environment.get_template("page.html").render()
    with pytest.raises(ConfigurationError, match="cached in an unnamed template, line 1 has no cache"):
        environment.from_string("{% cached %}{% endcached %}").render()
