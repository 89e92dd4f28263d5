"""The demo, as somebody uses it who has just cloned the repository: commands in a terminal, pages in a browser."""

import html
import re
from contextlib import closing
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, build_opener

import airportsdata
import pytest
from demo_runs import COUNTRIES, MANAGE, SECONDS, Run, serving

HERE = Path(__file__).parent


@pytest.mark.usefixtures("loaded")
class TestTerminal:
    def test_the_airports_are_loaded_with_a_progress_bar(self, loaded: str) -> None:
        number = sum(row["country"] in COUNTRIES for row in airportsdata.load("ICAO").values())
        assert f"{number}/{number}" in loaded
        assert f"{number:,} airports" in loaded

    def test_they_are_loaded_only_once(self, run: Run) -> None:
        assert "Loading" not in run(MANAGE, "load").stdout

    def test_the_tour_finds_all_as_it_should_be(self, run: Run) -> None:
        done = run(MANAGE, "tour", "--seconds", "1")
        assert done.returncode == 0, done.stdout + done.stderr
        assert re.search(r"queries to the database +│ +\d+ │ +\d+ │ +0 │", done.stdout)
        assert done.stdout.count("dropped") == 7
        assert re.search(r"what each write changes │ +[\d,]+ │ +\d+% │ +0 │", done.stdout)

    def test_the_race_finds_stale_reads_where_there_are_some(self, run: Run) -> None:
        done = run(HERE / "unnoticed.py")
        assert done.returncode == 1, done.stdout + done.stderr
        assert re.search(r"what each write changes │ +[\d,]+ │ +\d+% │ +[1-9][\d,]* │", done.stdout)


class Browser:
    """Looks at the site."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.opener = build_opener(HTTPCookieProcessor(CookieJar()))

    def get(self, path: str, data: dict[str, str] | None = None) -> str:
        """Return a page as text."""
        with closing(
            self.opener.open(self.url + path, data and urlencode(data).encode(), timeout=SECONDS)
        ) as page:
            return html.unescape(page.read().decode())

    def main(self, path: str) -> str:
        """Return what is on a page without the panel beside it."""
        return self.get(path).partition("<aside>")[0]

    def source(self, path: str, words: str) -> str:
        """Return what the panel beside a page says of one of its queries: hit, miss or database."""
        found = re.search(rf'class="badge (\w+)">\w+</span>\s*<span>{re.escape(words)}<', self.get(path))
        assert found
        return found[1]

    def save(self, path: str, **changes: str) -> str:
        """Fill in the form of a page, and return the page that it leads to."""
        page = self.get(path)
        fields = dict(re.findall(r'<input type="(?:text|number|hidden)" name="(\w+)" value="(.*?)"', page))
        return self.get(path, fields | changes)


@pytest.fixture(scope="module")
def site(address: str) -> Browser:
    return Browser(address)


class TestSite:
    @pytest.mark.parametrize(
        "path", ["/", "/country/is/", "/country/no/?page=2", "/airport/biar/", "/static/airports/style.css"]
    )
    def test_each_page_answers(self, site: Browser, path: str) -> None:
        assert site.get(path)

    def test_an_unknown_country_is_not_found(self, site: Browser) -> None:
        with pytest.raises(HTTPError, match="404") as error:
            site.get("/country/zz/")
        error.value.close()

    def test_a_page_comes_from_the_cache_the_second_time(self, site: Browser) -> None:
        site.get("/country/se/")
        page = site.get("/country/se/")
        assert 'class="badge hit"' in page
        assert 'class="badge miss"' not in page

    def test_an_edit_shows_at_once_on_every_page_that_lists_the_airport(self, site: Browser) -> None:
        assert "0 Reykjavik" not in site.main("/country/is/")
        saved = site.save("/airport/birk/", name="0 Reykjavik", country="IS")
        assert "name Reykjavik Airport → 0 Reykjavik" in saved
        assert "0 Reykjavik" in site.main("/airport/birk/")
        assert "0 Reykjavik" in site.main("/country/is/")

    def test_a_move_shows_in_both_countries_and_leaves_a_third_in_the_cache(self, site: Browser) -> None:
        for code in COUNTRIES:
            site.get(f"/country/{code.lower()}/")
        site.save("/airport/bihu/", name="0 Husavik", country="NO")
        assert "0 Husavik" not in site.main("/country/is/")
        assert "0 Husavik" in site.main("/country/no/")
        assert site.source("/country/se/", "One page of them") == "hit"

    def test_the_next_free_port_is_taken(self, site: Browser, environment: dict[str, str]) -> None:
        port = site.url.rpartition(":")[2]
        with serving(environment, "--port", port) as second:
            assert second != site.url
            assert Browser(second).get("/")
