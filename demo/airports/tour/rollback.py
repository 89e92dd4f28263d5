"""A transaction is rolled back: nobody has seen what it wrote, and nothing is dropped."""

from concurrent.futures import ThreadPoolExecutor

from django.db import connections, transaction
from rich.console import Console
from rich.table import Table

from airports.models import Airport
from airports.tour.akureyri import ICAO, borrowed
from airports.watching import watch

Seen = tuple[str, str]


def show(console: Console) -> bool:
    """Print what the transaction and everybody else see, and return whether that is as it should be."""
    # Another thread has another connection to the database: it is everybody else.
    with borrowed() as airport, ThreadPoolExecutor(1) as others:

        def both() -> tuple[Seen, Seen]:
            return see(), others.submit(see).result()

        see()
        before = both()
        with transaction.atomic():
            old_name, airport.name = airport.name, "Nowhere"
            airport.save()
            during = both()
            transaction.set_rollback(True)
        after = both()
        others.submit(connections.close_all).result()
    console.print(table_of({"before": before, "while it is open": during, "after its rollback": after}))
    old, new = (old_name, "cache"), ("Nowhere", "database")
    return [before, during, after] == [(old, old), (new, old), (old, old)]


def see() -> Seen:
    """Return what the airport is called, and where the answer came from."""
    with watch("Akureyri") as look:
        name = Airport.objects.get(icao=ICAO).name
    return name, "cache" if look.source == "hit" else "database"


def table_of(moments: dict[str, tuple[Seen, Seen]]) -> Table:
    """Return who saw what, when."""
    table = Table(title="Akureyri is renamed, and the transaction rolled back", title_justify="left")
    for column in "", "the transaction sees", "from the", "everybody else sees", "from the":
        table.add_column(column)
    for moment, (own, other) in moments.items():
        table.add_row(moment, *own, *other)
    return table
