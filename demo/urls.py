"""The addresses of the site."""

from airports import views
from django.urls import path

urlpatterns = [
    path("", views.world, name="world"),
    path("country/<slug:code>/", views.country, name="country"),
    path("airport/<slug:icao>/", views.airport, name="airport"),
    path("empty/", views.empty, name="empty"),
]
