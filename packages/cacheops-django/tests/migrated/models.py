"""The models as the last migration leaves them."""

from django.db import models


class Parcel(models.Model):
    label = models.CharField(max_length=50)
    weight = models.IntegerField(default=0)
