"""What the pages of the site show: plain querysets. `watch` only names them for the panel beside the page.

The tour in the terminal asks the very same questions.
"""

from typing import Any

from django.core.paginator import Paginator
from django.db.models import Avg, Count, F, Max, Min, QuerySet
from django.db.models.functions import Round
from django.shortcuts import get_object_or_404

from .models import Airport, Country, Kind
from .watching import watch

PER_PAGE = 40
Points = list[tuple[float, float]]


def world() -> dict[str, Any]:
    with watch("The countries with their numbers of airports"):
        countries = list(Country.objects.annotate(number=Count("airports")).order_by("name"))
    with watch("How many airports there are"):
        total = Airport.objects.count()
    with watch("Where they are, to a degree"):
        points = places(Airport.objects.all(), 0)
    return {"countries": countries, "total": total, "points": points}


def country(code: str, page: int | str = 1) -> dict[str, Any]:
    with watch("The country"):
        country = get_object_or_404(Country, code=code.upper())
    airports = country.airports.all()
    with watch("How many airports it has"):
        total = airports.count()
    with watch("One page of them"):
        shown = Paginator(airports, PER_PAGE).get_page(page)
        shown.object_list = list(shown.object_list)
    with watch("Their lowest, mean and highest elevation"):
        heights = airports.aggregate(low=Min("elevation"), mean=Avg("elevation"), high=Max("elevation"))
    with watch("The highest one"):
        highest = airports.order_by("-elevation", "icao").first()
    with watch("Whether any lies below the sea"):
        has_low = airports.filter(elevation__lt=0).exists()
    with watch("Its largest regions"):
        regions = airports.exclude(region="").values("region").annotate(number=Count("pk"))
        regions = list(regions.order_by("-number", "region")[:8])
    with watch("What kinds there are (a join of three tables)"):
        kinds = Kind.objects.filter(airports__country=country).annotate(number=Count("airports"))
        kinds = list(kinds.order_by("name"))
    with watch("Where they are, to a tenth of a degree"):
        points = places(airports, 1)
    return {
        "country": country,
        "total": total,
        "airports": shown,
        "heights": heights,
        "highest": highest,
        "has_low": has_low,
        "regions": regions,
        "kinds": kinds,
        "points": points,
    }


def airport(icao: str) -> dict[str, Any]:
    with watch("The airport"):
        airport = get_object_or_404(Airport, icao=icao.upper())
    with watch("Its country, by the foreign key"):
        country = airport.country
    with watch("Its kinds, many to many"):
        kinds = list(airport.kinds.all())
    with watch("Its neighbours, with their countries"):
        near = Airport.objects.filter(lat__range=around(airport.lat), lon__range=around(airport.lon))
        near = list(near.exclude(pk=airport.pk).select_related("country")[:8])
    return {"airport": airport, "country": country, "kinds": kinds, "near": near}


def places(airports: QuerySet[Airport], digits: int) -> Points:
    """Return the longitudes and latitudes at which there are airports, each place once."""
    rounded = airports.order_by().annotate(x=Round(F("lon"), digits), y=Round(F("lat"), digits))
    return list(rounded.values_list("x", "y").distinct())


def around(degrees: float) -> tuple[float, float]:
    return degrees - 0.5, degrees + 0.5
