"""`manage.py serve`: the site, on a port of this machine that nobody else can reach."""

import errno
import socket
from argparse import ArgumentParser
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console

from airports.loading import ensure_loaded

HOST = "127.0.0.1"
PORTS_TO_TRY = 50


class Command(BaseCommand):
    help = "Serve the site on a port of this machine."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--port", type=int, default=8000, help="the port; the next free one if it is taken"
        )

    def handle(self, *, port: int, **options: Any) -> None:
        console = Console()
        ensure_loaded(console)
        free = free_port(port)
        console.print(f"\nThe site is at [bold]http://{HOST}:{free}/[/]  (Ctrl-C ends it)\n")
        # Static files without DEBUG, which would keep every statement in memory.
        call_command("runserver", f"{HOST}:{free}", use_reloader=False, insecure_serving=True)


def free_port(wanted: int) -> int:
    """Return the first port from the wanted one on at which nobody listens."""
    for port in range(wanted, min(wanted + PORTS_TO_TRY, 65536)):
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((HOST, port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
            else:
                return port
    raise CommandError(f"Every port from {wanted} on is taken: choose another with --port.")
