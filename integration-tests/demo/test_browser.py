"""The demo, its dashboard and its toolbar as people see them who have several windows open."""

from collections.abc import Iterator

import pytest
from browsers import Browser, Window


@pytest.fixture(autouse=True)
def _nothing_went_wrong(browser: Browser) -> Iterator[None]:
    """Hold every page to a console without errors: scripts run, and the policy for content forbids nothing."""
    yield
    errors = browser.errors()
    browser.forget()
    assert errors == []


@pytest.fixture
def url(address: str) -> str:
    return address


def log_in(browser: Browser, url: str, path: str = "/admin/cacheops/") -> Window:
    """Log in where the page that is asked for wants that."""
    window = browser.open(url + path)
    window.fill("#id_username", "demo")
    window.fill("#id_password", "demo")
    window.submit("input[type=submit]")
    return window


def edit(window: Window, city: str) -> None:
    """Edit the airport that is open."""
    window.fill("input[name=city]", city)
    window.submit("form.card button")


def test_an_edit_shows_at_once_in_another_window(browser: Browser, url: str):
    country = browser.open(f"{url}/country/no/")
    country.find("#live[data-state=open]")
    airport = browser.open(f"{url}/airport/enbr/")
    edit(airport, "Bjørgvin")
    country.see("Bjørgvin", "main")
    country.see("dropped", "#live")
    country.see("airport ENBR", "#live")


def test_hits_and_misses_of_all_windows_show_live(browser: Browser, url: str):
    watching = browser.open(f"{url}/country/se/")
    watching.find("#live[data-state=open]")
    other = browser.open(f"{url}/country/is/")
    watching.see("countries whose code is IS", "#live")
    other.go(f"{url}/country/is/")
    watching.see("hit", "#live ol")


def test_a_form_that_is_being_filled_in_is_left_alone(browser: Browser, url: str):
    writing = browser.open(f"{url}/airport/enva/")
    writing.find("#live[data-state=open]")
    writing.fill("input[name=city]", "half a na")
    edit(browser.open(f"{url}/airport/entc/"), "Romsa")
    writing.see("dropped", "#live")
    assert writing.find("input[name=city]").get_attribute("value") == "half a na"


def test_the_dashboard_asks_who_one_is(browser: Browser, url: str):
    window = browser.open(f"{url}/admin/cacheops/")
    assert "/admin/login/?next=/admin/cacheops/" in window.url


def test_the_dashboard_shows_what_the_site_has_asked(browser: Browser, url: str):
    browser.open(f"{url}/country/se/")
    dashboard = log_in(browser, url)
    dashboard.see("airports.Airport", "#cacheops-live")
    dashboard.see("SELECT … FROM airports_airport", ".queries")
    assert dashboard.find("rect.hits") or dashboard.find("rect.misses")


def test_the_dashboard_follows_what_happens(browser: Browser, url: str):
    dashboard = log_in(browser, url)
    dashboard.find(".tiles")
    before = dashboard.find(".tiles > div:nth-child(2) dd").text
    browser.open(f"{url}/country/se/")
    dashboard.wait(
        lambda driver: dashboard.find(".tiles > div:nth-child(2) dd").text != before, "no more lookups"
    )


def test_a_button_drops_what_depends_on_a_model(browser: Browser, url: str):
    site = browser.open(f"{url}/country/se/")
    site.go(f"{url}/country/se/")
    assert "miss" not in site.find(".looks").text
    dashboard = log_in(browser, url)
    dashboard.submit("button[value='airports.Airport']")
    dashboard.see("What depends on airports.Airport has been dropped.", ".messagelist")
    # The page has heard of it, and has asked again.
    site.see("miss", ".looks")


def test_whoever_logs_out_is_refused_in_all_windows(browser: Browser, url: str):
    dashboard = log_in(browser, url)
    other = browser.open(f"{url}/country/is/")
    other.submit("header nav button")
    other.see("Log in", "header")
    dashboard.wait(lambda driver: "/admin/login/" in driver.current_url, "still there")
    dashboard.go(f"{url}/admin/cacheops/")
    assert "/admin/login/" in dashboard.url


def test_the_toolbar_lists_what_a_page_has_asked(browser: Browser, url: str):
    window = browser.open(f"{url}/country/se/")
    window.click("#djShowToolBarButton")
    window.click("#djdt-CacheopsPanel a")
    window.see("airports whose country is SE", "#CacheopsPanel")
