"""The pages, and the form that edits an airport: none of it knows that its queries are cached."""

from collections import deque
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from cacheops import invalidate_all

from . import pages
from .maps import drawing
from .models import Airport
from .watching import Look, watch

recent_edits: deque[Look] = deque(maxlen=5)
"""What was written last, by any visitor, and what the cache dropped for it."""


class AirportForm(forms.ModelForm):
    class Meta:
        model = Airport
        fields = ["name", "city", "country", "elevation", "kinds"]
        widgets = {"kinds": forms.CheckboxSelectMultiple}


def world(request: HttpRequest) -> HttpResponse:
    page = pages.world()
    return show(request, "world", page | {"map": drawing(page["points"])})


def country(request: HttpRequest, code: str) -> HttpResponse:
    page = pages.country(code, request.GET.get("page", 1))
    return show(request, "country", page | {"map": drawing(page["points"])})


def airport(request: HttpRequest, icao: str) -> HttpResponse:
    page = pages.airport(icao)
    form = AirportForm(request.POST or None, instance=page["airport"])
    if request.method == "POST" and form.is_valid():
        with watch(str(page["airport"])) as edit:
            form.save()
        recent_edits.appendleft(edit)
        return redirect("airport", page["airport"].pk.lower())
    with watch("The form; Django iterates its choices"):
        fields = form.render("airports/form.html")
    return show(request, "airport", page | {"form": fields})


@require_POST
def empty(request: HttpRequest) -> HttpResponse:
    """Empty the cache, to see a page without it."""
    invalidate_all()
    return redirect("world")


def show(request: HttpRequest, name: str, page: dict[str, Any]) -> HttpResponse:
    """Render a page with the panel beside it."""
    return render(request, f"airports/{name}.html", page | {"edits": recent_edits})
