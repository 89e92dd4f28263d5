"""Fields of the kinds that projects write for themselves."""

from typing import Any

from django.db import models
from django.db.models.query_utils import DeferredAttribute


class WordsField(models.TextField):
    """A list of words, stored as text: what comes out of the database is not what is in it."""

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> list[str] | None:
        return None if value is None else value.split()

    def to_python(self, value: Any) -> Any:
        return value.split() if isinstance(value, str) else value

    def get_prep_value(self, value: Any) -> Any:
        return " ".join(value) if isinstance(value, (list, tuple)) else value


class ScaledField(models.IntegerField):
    """An integer that is read multiplied by a factor: two of them differ by an argument only."""

    def __init__(self, *args: Any, factor: int = 1, **kwargs: Any) -> None:
        self.factor = factor
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> tuple[str, str, Any, dict[str, Any]]:
        name, path, args, kwargs = super().deconstruct()
        return name, path, args, kwargs | {"factor": self.factor}

    def from_db_value(self, value: int | None, expression: Any, connection: Any) -> int | None:
        return None if value is None else value * self.factor


class Shouting(DeferredAttribute):
    """Does something when it is set."""

    def __set__(self, instance: models.Model, value: Any) -> None:
        instance.__dict__[self.field.attname] = value and value.upper()


class ShoutedField(models.CharField):
    """A text that objects have in capitals only."""

    descriptor_class = Shouting
