"""The pages of the dashboard, for one admin site: who may see them is what that site says."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.contrib.auth import get_permission_codename
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import URLPattern, path
from django.views.decorators.http import require_POST, require_safe

from cacheops_django import conf
from cacheops_django.invalidation import invalidate_all, invalidate_model

from .report import SPANS, cached_models, report

__all__ = ["Dashboard"]


SECONDS, LEAST_SECONDS = 5, 2
"""Between two times that the page asks for the numbers anew."""


class Dashboard:
    """The dashboard in an admin site: ``path("admin/cacheops/", include((Dashboard(site).urls, "cacheops")))``."""

    def __init__(self, site: AdminSite) -> None:
        self.site = site

    @property
    def urls(self) -> list[URLPattern]:
        """The pages, behind the login of the site."""
        return [
            path("", self.site.admin_view(require_safe(self.index)), name="dashboard"),
            path("invalidate/", self.site.admin_view(require_POST(self.invalidate)), name="invalidate"),
        ]

    def index(self, request: HttpRequest) -> HttpResponse:
        """Show what the cache does."""
        span = SPANS.get(request.GET.get("span", ""), SPANS["hour"])
        droppable = {model._meta.label: model for model in cached_models() if may_drop(request, model)}
        # Templates of the site reverse their own addresses.
        request.current_app = self.site.name
        context = {
            **self.site.each_context(request),
            "title": "Cache",
            "report": report(span, with_findings=is_superuser(request)),
            # Sooner than processes tell what they count, there is nothing new.
            "seconds": max(round(conf.current().counters_every or SECONDS), LEAST_SECONDS),
            "spans": SPANS.values(),
            "droppable": droppable,
            "may_drop_all": is_superuser(request),
        }
        return render(request, "cacheops/dashboard.html", context)

    def invalidate(self, request: HttpRequest) -> HttpResponse:
        """Drop what depends on a model, or everything."""
        label = request.POST.get("model", "")
        if label == "*":
            if not is_superuser(request):
                raise PermissionDenied("Only superusers may drop everything.")
            invalidate_all()
            said = "Everything in the cache has been dropped."
        else:
            model = find(label)
            if not may_drop(request, model):
                raise PermissionDenied(f"It takes the permission to change {model._meta.label}.")
            invalidate_model(model)
            said = f"What depends on {model._meta.label} has been dropped."
        if apps.is_installed("django.contrib.messages"):
            messages.success(request, said)
        span = request.POST.get("span", "")
        query = f"?span={span}" if span in SPANS else ""
        return HttpResponseRedirect(request.path.removesuffix("invalidate/") + query)


def find(label: str) -> type[Model]:
    """Return a model that has a profile by its label."""
    for model in cached_models():
        if model._meta.label == label:
            return model
    raise Http404("There is no such model that is cached.")


def may_drop(request: HttpRequest, model: type[Model]) -> bool:
    """Tell whether a user may drop what depends on a model: whoever may change its rows does so anyway."""
    user: Any = request.user
    codename = get_permission_codename("change", model._meta)
    return bool(user.has_perm(f"{model._meta.app_label}.{codename}"))


def is_superuser(request: HttpRequest) -> bool:
    """Tell whether a user may drop everything, and see what quotes the settings."""
    user: Any = request.user
    return bool(user.is_active and user.is_superuser)
