"""Works of several kinds under one parent, as django-polymorphic gives them back."""

from django.db import models
from polymorphic.models import PolymorphicModel


class Work(PolymorphicModel):
    title = models.CharField(max_length=50)


class Painting(Work):
    technique = models.CharField(max_length=50)


class Sculpture(Work):
    weight = models.IntegerField()
