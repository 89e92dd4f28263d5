"""Change rows, by models that are made up for as long as the migration runs."""

from typing import Any

from django.db import migrations


def relabel(apps: Any, schema_editor: Any) -> None:
    """Save, make, delete and update."""
    parcels = apps.get_model("migrated", "Parcel").objects.using(schema_editor.connection.alias)
    for parcel in parcels.filter(label="saved"):
        parcel.label = "by a migration"
        parcel.save()
    parcels.create(label="made")
    parcels.filter(label="deleted").delete()
    parcels.bulk_create([parcels.model(label="made in bulk")])
    for parcel in parcels.filter(label="updated in bulk"):
        parcel.weight = 9
        parcels.bulk_update([parcel], ["weight"])


class Migration(migrations.Migration):
    dependencies = [("migrated", "0001_tables")]
    operations = [migrations.RunPython(relabel, migrations.RunPython.noop)]
