"""The page on operations names what there is, and its examples run and print what it says."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
from doc_pages import run_page
from processes import Company

from cacheops_django.metrics import METRICS
from cacheops_django.reasons import KINDS

PAGE = (Path(__file__).parent.parent / "docs" / "operations.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table under a heading."""
    section = re.split(r"^## ", PAGE.partition(f"## {heading}\n")[2], flags=re.M)[0]
    return [line.strip("| \n").split(" | ") for line in section.splitlines() if line.startswith("| `")]


def test_all_reasons_are_told():
    assert rows("Reasons") == [[f"`{name}`", *kind] for name, kind in KINDS.items()]


def test_all_metrics_are_told_with_their_labels():
    told = {
        name.strip("`"): re.findall(r"`(\w+)`", labels)
        for name, labels in rows("Prometheus and OpenTelemetry")
    }
    for metric in METRICS:
        unit = "_seconds" if metric.unit == "seconds" else ""
        assert told[f"cacheops_{metric.name}{unit}_total"][: len(metric.labels)] == list(metric.labels)


def printed() -> str:
    """Run the page's examples, and return what they print."""
    with redirect_stdout(StringIO()) as said:
        run_page("operations.md")
    return said.getvalue()


def lines(text: str) -> Iterator[str]:
    """Yield lines without what differs each time: names of keys, times and numbers."""
    for line in text.strip().splitlines():
        yield re.sub(
            r"(\d+ (h|min|s|ms)|[\d.,]+)( (\d+ )?(h|min|s|ms))*", "#", re.sub(r"(key +)\S+", r"\1", line)
        )


@pytest.mark.one_database
def test_the_examples_run_and_print_what_the_page_says(project: Company):
    said = [*lines(project.actor().do(printed))]
    [told] = re.findall(r"^```text\n(fetch of.*?)^```$", PAGE, re.M | re.S)
    assert said == [*lines(told)]


SITE = """
import re, sys
from django.conf import settings

settings.configure(
    INSTALLED_APPS=[
        "cacheops", "debug_toolbar", "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes",
        "django.contrib.messages", "django.contrib.sessions", "django.contrib.staticfiles",
    ],
    CACHEOPS_REDIS="redis://127.0.0.1:1/0", CACHEOPS={}, STATIC_URL="static/", ROOT_URLCONF="urls",
)
import django
django.setup()

import types
from django.urls import resolve
from django.utils.module_loading import import_string

names = {}
for block in re.findall(r"^```python\\n(.*?)^```$", open(sys.argv[1]).read(), re.M | re.S):
    exec(block, names)
    if "urlpatterns" in names:
        urls = sys.modules["urls"] = types.ModuleType("urls")
        urls.urlpatterns = names.pop("urlpatterns")
        settings.ROOT_URLCONF = urls
        first = urls.urlpatterns[0].pattern._route
        print(*sorted(one.pattern._route for one in urls.urlpatterns), resolve(f"/{first}", urls).url_name)
print(import_string(names["DEBUG_TOOLBAR_PANELS"][0]).__name__)
"""


def test_the_examples_of_the_dashboard_and_the_toolbar_work():
    page = Path(__file__).parent.parent / "docs" / "dashboard.md"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SITE, str(page)], capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines() == [
        "admin/ admin/cacheops/ dashboard",
        "shop/ shop/cacheops/ dashboard",
        "CacheopsPanel",
    ], done.stderr
