"""The airports in Django's admin, which reads past the cache."""

from django.contrib import admin

from .models import Airport, Country, Kind

admin.site.register([Country, Kind])


@admin.register(Airport)
class AirportAdmin(admin.ModelAdmin):
    list_display = ["icao", "name", "city", "country"]
    list_filter = ["kinds"]
    search_fields = ["icao", "iata", "name", "city"]
