"""Where aeroplanes land: plain models, nothing in them knows of a cache."""

from django.db import models


class Country(models.Model):
    code = models.CharField(max_length=2, primary_key=True)
    name = models.CharField(max_length=80)

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "countries"

    def __str__(self) -> str:
        return self.name


class Kind(models.Model):
    """What an airport's name calls it: a ranch, a seaplane base, an international airport."""

    name = models.CharField(max_length=40, unique=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Airport(models.Model):
    icao = models.CharField("ICAO code", max_length=4, primary_key=True)
    iata = models.CharField("IATA code", max_length=3, blank=True)
    name = models.CharField(max_length=80)
    city = models.CharField(max_length=60, blank=True)
    region = models.CharField(max_length=60, blank=True)
    country = models.ForeignKey(Country, models.PROTECT, related_name="airports")
    kinds = models.ManyToManyField(Kind, related_name="airports", blank=True)
    elevation = models.IntegerField(help_text="in feet")
    lat = models.FloatField()
    lon = models.FloatField()
    timezone = models.CharField(max_length=40)

    class Meta:
        ordering = ["name", "icao"]

    def __str__(self) -> str:
        return self.name
