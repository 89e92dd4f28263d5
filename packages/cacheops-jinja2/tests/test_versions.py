"""An edited template never serves its old text, whichever way it comes into a page."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from jinja2 import (
    ChoiceLoader,
    DictLoader,
    Environment,
    FileSystemBytecodeCache,
    FileSystemLoader,
    ModuleLoader,
    PrefixLoader,
)
from jinja2.environment import TemplateModule
from jinja2.runtime import Macro

from cacheops_jinja2.versions import Version, macros_among, versions


def edited(environment: Environment, **sources: str) -> None:
    """Give templates other sources."""
    assert isinstance(environment.loader, DictLoader)
    environment.loader.mapping.update({f"{name}.html": source for name, source in sources.items()})


PAGES = {
    "the template": {"page": "{% cached %}old{% endcached %}"},
    "a macro of the template": {
        "page": "{% macro m() %}old{% endmacro %}{% cached %}{{ m() }}{% endcached %}"
    },
    "an include": {"page": "{% cached %}{% include 'part.html' %}{% endcached %}", "part": "old"},
    "an include of an include": {
        "page": "{% cached %}{% include 'part.html' %}{% endcached %}",
        "part": "{% include 'inner.html' %}",
        "inner": "old",
    },
    "one of several includes": {
        "page": "{% cached %}{% include ['none.html', 'part.html'] %}{% endcached %}",
        "part": "old",
    },
    "an include in a tuple of three": {
        "page": "{% cached %}{% include ('none.html', 'part.html', 'page.html') %}{% endcached %}",
        "part": "old",
    },
    "a macro that is imported outside": {
        "page": "{% from 'part.html' import m %}{% cached %}{{ m() }}{% endcached %}",
        "part": "{% macro m() %}old{% endmacro %}",
    },
    "a macro that is imported inside": {
        "page": "{% cached %}{% import 'part.html' as p %}{{ p.m() }}{% endcached %}",
        "part": "{% macro m() %}old{% endmacro %}",
    },
    "a macro that a macro calls": {
        "page": "{% import 'part.html' as p with context %}{% cached %}{{ p.m() }}{% endcached %}",
        "part": "{% from 'inner.html' import n %}{% macro m() %}{{ n() }}{% endmacro %}",
        "inner": "{% macro n() %}old{% endmacro %}",
    },
    "the parent's block": {
        "page": "{% extends 'part.html' %}{% block a %}{% cached %}{{ super() }}{% endcached %}{% endblock %}",
        "part": "{% block a %}old{% endblock %}",
    },
    "the block of another block": {
        "page": "{% cached %}{{ self.a() }}{% endcached %}{% if never %}{% block a %}old{% endblock %}{% endif %}",
    },
    "the child's block": {
        "page": "{% extends 'part.html' %}{% block a %}old{% endblock %}",
        "part": "{% cached %}{% block a %}{% endblock %}{% endcached %}",
    },
    "what the child's block includes": {
        "page": "{% extends 'part.html' %}{% block a %}{% include 'inner.html' %}{% endblock %}",
        "part": "{% cached %}{% block a %}{% endblock %}{% endcached %}",
        "inner": "old",
    },
    "the macro of the child's block": {
        "page": "{% extends 'part.html' %}{% from 'inner.html' import n %}{% block a %}{{ n() }}{% endblock %}",
        "part": "{% cached %}{% block a %}{% endblock %}{% endcached %}",
        "inner": "{% macro n() %}old{% endmacro %}",
    },
    "who calls the macro": {
        "page": "{% from 'part.html' import m %}{% call m() %}old{% endcall %}",
        "part": "{% macro m() %}{% cached %}{{ caller() }}{% endcached %}{% endmacro %}",
    },
    "what is included by who calls the macro": {
        "page": "{% from 'part.html' import m %}{% call m() %}{% include 'inner.html' %}{% endcall %}",
        "part": "{% macro m() %}{% cached %}{{ caller() }}{% endcached %}{% endmacro %}",
        "inner": "old",
    },
}


@pytest.mark.parametrize("sources", PAGES.values(), ids=PAGES)
def test_an_edited_template_never_serves_its_old_text(make, sources):
    environment = make({f"{name}.html": source for name, source in sources.items()})
    assert environment.get_template("page.html").render() == "old"
    edited(environment, **{name: source.replace("old", "new") for name, source in sources.items()})
    assert environment.get_template("page.html").render() == "new"


@pytest.mark.parametrize("sources", PAGES.values(), ids=PAGES)
def test_a_page_that_nobody_edits_is_kept(make, sources):
    environment = make(
        {f"{name}.html": source.replace("old", "{{ tick() }}") for name, source in sources.items()}
    )
    assert [environment.get_template("page.html").render() for _ in range(2)] == ["1", "1"]


def test_pages_that_fill_the_blocks_of_one_parent_are_kept_apart(make):
    parent = "{% cached %}{% block a %}{% endblock %}{% endcached %}"
    child = "{% extends 'parent.html' %}{% block a %}NAME{% endblock %}"
    environment = make({"parent.html": parent} | {name: child.replace("NAME", name) for name in "ab"})
    assert [environment.get_template(name).render() for name in "abab"] == ["a", "b", "a", "b"]


def test_pages_share_what_their_parent_keeps_outside_of_blocks(make):
    parent = "{% cached %}{{ tick() }}{% endcached %}{% block a %}{% endblock %}"
    child = "{% extends 'parent.html' %}{% block a %}NAME{% endblock %}"
    environment = make({"parent.html": parent} | {name: child.replace("NAME", name) for name in "ab"})
    assert [environment.get_template(name).render() for name in "ab"] == ["1a", "1b"]


def test_a_page_keeps_the_macro_with_which_it_began_under_that_version(make):
    page = "{% from 'part.html' import m %}{{ edit() }}{% cached %}{{ m() }}{% endcached %}"
    environment = make({"page.html": page, "part.html": "{% macro m() %}old{% endmacro %}"})
    template = environment.get_template("page.html")
    new = "{% macro m() %}new{% endmacro %}"
    assert template.render(edit=lambda: edited(environment, part=new) or "") == "old"
    assert template.render(edit=lambda: "") == "new"


def test_a_block_keeps_the_macro_with_which_its_page_began_under_that_version(make):
    page = "{% extends 'parent.html' %}{% from 'part.html' import m %}{% block a %}{{ m() }}{% endblock %}"
    parent = "{{ edit() }}{% cached %}{% block a %}{% endblock %}{% endcached %}"
    environment = make(
        {"page.html": page, "parent.html": parent, "part.html": "{% macro m() %}old{% endmacro %}"}
    )
    template = environment.get_template("page.html")
    new = "{% macro m() %}new{% endmacro %}"
    assert template.render(edit=lambda: edited(environment, part=new) or "") == "old"
    assert template.render(edit=lambda: "") == "new"


def test_a_template_that_is_missing_is_looked_for_again(make):
    environment = make({"page.html": "{% cached %}{% include 'part.html' ignore missing %}{% endcached %}"})
    assert environment.get_template("page.html").render() == ""
    edited(environment, part="new")
    assert environment.get_template("page.html").render() == "new"


def test_a_broken_template_breaks_only_what_needs_it(make):
    source = "{% cached extra=needs %}{% if needs %}{% include 'part.html' %}{% endif %}fine{% endcached %}"
    environment = make({"page.html": source, "part.html": "{% if %}"})
    assert environment.get_template("page.html").render(needs=False) == "fine"
    with pytest.raises(Exception, match="Expected an expression"):
        environment.get_template("page.html").render(needs=True)


def test_names_are_joined_as_the_environment_joins_them(make):
    class Relative(Environment):
        def join_path(self, template: str, parent: str) -> str:
            return f"{parent.rpartition('/')[0]}/{template}"

    both = "{% include 'part.html' %}{% include 'b/both.html' %}"
    sources = {
        "a/page.html": f"{{% cached %}}{both}{{% endcached %}}",
        "a/part.html": "1",
        "a/b/part.html": "2",
    }
    sources["a/b/both.html"] = "{% include 'part.html' %}"
    environment = make(sources, kind=Relative)
    assert environment.get_template("a/page.html").render() == "12"
    sources["a/b/part.html"] = "3"
    assert environment.get_template("a/page.html").render() == "13"


def test_templates_behind_a_prefix_are_found(make):
    sources = {"page.html": "{% cached %}{% include 'x/part.html' %}{% endcached %}", "part.html": "old"}
    loader = PrefixLoader({"x": DictLoader(sources)})
    environment = make(loader)
    assert environment.get_template("x/page.html").render() == "old"
    sources["part.html"] = "new"
    assert environment.get_template("x/page.html").render() == "new"


def test_a_file_that_is_edited_is_another_version(make, tmp_path):
    file = tmp_path / "page.html"
    file.write_text("{% cached %}old{% endcached %}")
    environment = make(FileSystemLoader(tmp_path))
    assert environment.get_template("page.html").render() == "old"
    file.write_text("{% cached %}new{% endcached %}, and longer")
    environment.cache.clear()
    assert environment.get_template("page.html").render() == "new, and longer"


def test_code_from_a_bytecode_cache_is_the_same_version(make, tmp_path):
    sources = {
        "page.html": "{% cached %}{{ tick() }}{% include 'part.html' %}{% endcached %}",
        "part.html": "old",
    }

    def restarted() -> Environment:
        return make(DictLoader(sources), bytecode_cache=FileSystemBytecodeCache(str(tmp_path)))

    assert restarted().get_template("page.html").render() == "1old"
    assert list(tmp_path.iterdir())
    assert restarted().get_template("page.html").render() == "1old"
    sources["part.html"] = "new"
    assert restarted().get_template("page.html").render() == "1new"


@pytest.mark.parametrize("edit", ["page.html", "part.html"])
def test_templates_that_were_compiled_in_advance_have_versions(make, tmp_path, edit):
    sources = {"page.html": "{% cached %}old{% include 'part.html' %}{% endcached %}", "part.html": "old"}

    def deployed(folder: str) -> Environment:
        make(DictLoader(sources)).compile_templates(tmp_path / folder, zip=None)
        return make(ModuleLoader(tmp_path / folder))

    assert deployed("first").get_template("page.html").render() == "oldold"
    sources[edit] = sources[edit].replace("old", "new")
    text = deployed("second").get_template("page.html").render()
    assert text == ("newold" if edit == "page.html" else "oldnew")
    assert make(ModuleLoader(tmp_path / "second")).get_template("page.html").render() == text


def test_a_loader_may_be_chosen_for_each_template(make, tmp_path):
    (tmp_path / "part.html").write_text("old")
    page = {"page.html": "{% cached %}{{ tick() }}{% include 'part.html' %}{% endcached %}"}
    environment = make(ChoiceLoader([DictLoader(page), FileSystemLoader(tmp_path)]))
    assert [environment.get_template("page.html").render() for _ in range(2)] == ["1old", "1old"]


# The pieces


def references(source: str) -> list[str]:
    """Return the names that a compiled template asks for."""
    template = Environment().from_string(source)
    return list(Version.of(template.root_render_func.__globals__).references)


@pytest.mark.parametrize(
    "source, names",
    [
        ("{% include 'a' %}", ["a"]),
        ("{% include ['a', 'b'] %}", ["a", "b"]),
        ("{% include ['a', 'b', 'c', 'd'] %}", ["a", "b", "c", "d"]),
        ("{% include ('a', 'b', 'c') ignore missing %}", ["a", "b", "c"]),
        ("{% import 'a' as m %}{% from 'b' import n with context %}", ["a", "b"]),
        ("{% extends 'a' %}{% block x %}{% include 'b' %}{% endblock %}", ["a", "b"]),
        ("{% macro m() %}{% for i in x %}{% include 'a' %}{% endfor %}{% endmacro %}", ["a"]),
        ("{% include x %}{% include [x, 'b'] %}{% extends y %}{% import z ~ 'a' as m %}", []),
        ("a 'b' {{ 'c' }} {{ x.get_template }} {{ x['d'] }}", []),
    ],
)
def test_the_names_that_a_template_asks_for_are_read_off_its_code(source, names):
    assert references(source) == names


def test_versions_of_templates_that_include_one_another_are_found(environment):
    sources = {"a": "{% include 'b' %}", "b": "{% include 'a' %}{% include 'c' %}"}
    environment.loader = DictLoader(sources)
    root = environment.get_template("a").root_render_func
    own, others = versions(environment, [root])
    assert len(own) == 1
    assert sorted(others) == ["a", "b", "c"]
    assert others["a"] == own[0]
    assert others["c"] == b""


def test_a_version_is_worked_out_once(environment):
    namespace = environment.from_string("a").root_render_func.__globals__
    assert Version.of(namespace) is Version.of(namespace)


def test_macros_are_found_in_what_imports_give(environment):
    environment.loader = DictLoader(
        {"m": "{% macro a() %}{% endmacro %}{% macro b() %}{% endmacro %}{% set c = 1 %}"}
    )
    module = TemplateModule(environment.get_template("m"), environment.get_template("m").new_context(), [])
    found = {"a": Macro(environment, lambda: "", "a", [], False, False, False)}
    vars(module).update(found)
    assert list(macros_among([1, module, found["a"], None])) == [found["a"], found["a"]]


KEYS = """
from jinja2 import Environment, DictLoader
environment = Environment(loader=DictLoader({"page": SOURCE}), extensions=["cacheops_jinja2.CacheopsExtension"])
keys = []
environment.cacheops = type("Keys", (), {
    "get": lambda self, key, default: keys.append(key), "set": lambda self, key, value: None
})()
environment.get_template("page").render(a=1, b=2)
print(keys)
"""


@pytest.mark.parametrize("seed", ["1", "2"])
def test_keys_are_the_same_in_every_process(seed):
    source = (
        "{% set c, d = a, b %}{% cached extra={'a': a, 'b': b} %}{{ a|upper }}{{ c }}{{ d }}{% endcached %}"
    )

    def keys(seed: str) -> str:
        environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(path for path in sys.path if path)}
        command = [sys.executable, "-c", KEYS.replace("SOURCE", repr(source))]
        return subprocess.run(
            command, env=environment, check=True, capture_output=True, text=True, cwd=Path(__file__).parent
        ).stdout

    assert keys(seed) == keys("0")
    assert "jinja2:" in keys(seed)
