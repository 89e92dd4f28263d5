"""Make the table."""

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    operations = [
        migrations.CreateModel(
            "Parcel",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("label", models.CharField(max_length=50)),
                ("weight", models.IntegerField(default=0)),
            ],
        ),
    ]
