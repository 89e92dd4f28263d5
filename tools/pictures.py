"""Take the pictures of the documentation: `nox -s pictures`, which needs Chromium and its driver.

    python tools/pictures.py FOLDER

The demo is given an hour of visitors, who come in a minute or so: what they ask and edit is real, only the clock by
which it is counted is moved. Then its pages are photographed.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "demo"), str(ROOT / "integration-tests")]

MINUTES = 60
PORT = 8123
WIDTH = 1280
COUNTRIES = ("us", "br", "ca", "au", "is", "no", "se", "fi", "dk", "gb", "de", "fr", "it", "es", "jp", "nz")


def visit(luck: random.Random) -> None:
    """Be the visitors of an hour."""
    from airports.models import Airport
    from django.test import Client

    from cacheops_django import shared_counters

    visitor, began = Client(SERVER_NAME="localhost"), time.time()
    codes = list(Airport.objects.nocache().values_list("icao", "country_id").order_by("?")[:400])
    for minute in range(MINUTES):
        moved = began - 60 * (MINUTES - 1 - minute)
        clock = SimpleNamespace(time=lambda moved=moved: moved, monotonic=time.monotonic)
        with patch.object(shared_counters, "time", clock):
            for _ in range(luck.randint(8, 14) + 8 * (20 < minute < 45)):
                country = luck.choice(COUNTRIES[: luck.randint(1, len(COUNTRIES))])
                visitor.get(
                    luck.choice([f"/country/{country}/"] * 3 + [f"/airport/{luck.choice(codes)[0].lower()}/"])
                )
            for _ in range(luck.choice([0, 0, 1, 1, 2])):
                edit(luck.choice(codes)[0], luck)
            shared_counters.publish()


def edit(icao: str, luck: random.Random) -> None:
    """Move an airport up or down a bit."""
    from airports.models import Airport

    airport = Airport.objects.nocache().get(pk=icao)
    airport.elevation += luck.choice([-1, 1])
    airport.save()


@contextmanager
def serving() -> Iterator[str]:
    """Serve the demo."""
    command = [sys.executable, str(ROOT / "demo" / "manage.py"), "serve", "--port", str(PORT)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as site:
        assert site.stdout is not None
        try:
            while "Quit the server" not in site.stdout.readline():
                pass
            yield f"http://127.0.0.1:{PORT}"
        finally:
            site.terminate()


def photograph(browser: Any, url: str, folder: Path) -> None:
    """Take all pictures."""
    page = browser.open(f"{url}/admin/login/?next=/admin/cacheops/")
    page.fill("#id_username", "demo")
    page.fill("#id_password", "demo")
    page.submit("input[type=submit]")
    page.find(".lookups")
    page.click("#toggle-nav-sidebar")
    page.photograph(folder / "dashboard.png", WIDTH, 1290)
    page.go(f"{url}/country/is/")
    page.find("#live[data-state=open]")
    other = browser.open(f"{url}/airport/biar/")
    other.fill("input[name=elevation]", "7")
    other.submit("form.card button")
    page.find("#live .badge.dropped")
    page.see("7 ft", "main")
    page.show("#live .badge.dropped")
    page.photograph(folder / "demo.png", WIDTH, 900)
    page.go(f"{url}/country/is/")
    page.click("#djShowToolBarButton")
    page.click("#djdt-CacheopsPanel a")
    page.find("#CacheopsPanel h4")
    page.photograph(folder / "toolbar.png", WIDTH, 760)


def main(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as data:
        os.environ |= {
            "CACHEOPS_DEMO_DATA": data,
            "DJANGO_SETTINGS_MODULE": "settings",
            "PYTHONUNBUFFERED": "1",
        }
        import django
        from browsers import browsing

        django.setup()
        from airports.loading import ensure_loaded
        from rich.console import Console

        ensure_loaded(Console())
        visit(random.Random(7))
        with serving() as url, browsing() as browser:
            photograph(browser, url, folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
