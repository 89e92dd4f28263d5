"""The airport that the tour changes."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy

from airports.models import Airport

ICAO = "BIAR"


@contextmanager
def borrowed() -> Iterator[Airport]:
    """Lend the airport of Akureyri as it is in Iceland, and put it back as it was, moved on the site or not."""
    original = Airport.objects.get(icao=ICAO)
    airport = copy(original)
    airport.name, airport.country_id = "Akureyri Airport", "IS"
    airport.save()
    try:
        yield airport
    finally:
        original.save()
