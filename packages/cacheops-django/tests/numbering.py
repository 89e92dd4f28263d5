"""Rows that are made with keys of our choice, and the numbers that the database gives to others."""

from django.apps import apps
from django.core.management.color import no_style
from django.db import connection


def go_on_counting() -> None:
    """Let the database number new rows after those that are there, where it does not see to that itself."""
    models = [
        model
        for model in apps.get_models(include_auto_created=True)
        # Django puts the name into a text as it is.
        if not model._meta.proxy and "'" not in model._meta.db_table
    ]
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), models):
            cursor.execute(statement)
