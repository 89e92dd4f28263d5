"""`manage.py cacheops explain|stats|doctor`: what the cache would do, what it has done, and whether it is well."""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from django.core.exceptions import FieldError, ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import connections
from django.db.models import Model, QuerySet

from cacheops_core.errors import CacheopsError
from cacheops_django import doctor, explaining, stats
from cacheops_django.management.commands.invalidate import find_app, find_model

__all__ = ["Command"]

MARKS = {"ok": "ok", "note": "note", "warning": "warning", "error": "ERROR"}
NOTHING_YET = "Nothing has been counted yet: processes tell what they have counted after some seconds."


class Command(BaseCommand):
    help = (
        "Explains what the cache would do with a query, shows what it has done, and looks for what is wrong."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take what is wanted, and the options of that."""
        wanted = parser.add_subparsers(dest="wanted", required=True, metavar="explain | stats | doctor")
        explain = wanted.add_parser("explain", help="Say what the cache would do with a query, and why.")
        explain.add_argument("model", metavar="app.Model")
        for name in ("filter", "exclude"):
            explain.add_argument(f"--{name}", nargs="+", action="extend", default=[], metavar="field=value")
        explain.add_argument("--order-by", nargs="+", action="extend", default=[], metavar="field")
        explain.add_argument(
            "--op",
            default="fetch",
            choices=[op for op in explaining.METHODS if op not in ("aggregate", "contains")],
        )
        explain.add_argument(
            "--database", metavar="alias", help="by default the one that reads are routed to"
        )
        shown = wanted.add_parser("stats", help="Show what all processes have counted.")
        shown.add_argument("--minutes", type=int, default=60, help="60 by default, at most a week of them")
        shown.add_argument("--all", action="store_true", help="show what was counted in all")
        shown.add_argument("--queries", action="store_true", help="show what was asked most, too")
        shown.add_argument(
            "--watch", type=float, nargs="?", const=2.0, metavar="SECONDS", help="show it again every 2 s"
        )
        shown.add_argument("--times", type=int, help="with --watch: end after so many times")
        looked = wanted.add_parser("doctor", help="Look at the settings and the server for what is wrong.")
        for one in (shown, looked):
            one.add_argument("--json", action="store_true", help="print it as JSON")

    def handle(self, *args: Any, wanted: str, **options: Any) -> None:
        """Do what is wanted; errors are told without a traceback."""
        try:
            {"explain": self._explain, "stats": self._stats, "doctor": self._doctor}[wanted](options)
        except CacheopsError as error:
            raise CommandError(str(error)) from error

    def _explain(self, options: dict[str, Any]) -> None:
        """Say what the cache would do with a query."""
        app, _, name = options["model"].partition(".")
        if not name:
            raise CommandError(f'"{options["model"]}" names no model: write it as app.Model.')
        model = find_model(find_app(app), name)
        try:
            queryset = queryset_of(model, options)
            self.stdout.write(str(explaining.explain(queryset, options["op"])))
        except (FieldError, ValidationError, ValueError, TypeError) as error:
            raise CommandError(f"{model._meta.label} cannot be asked that: {error}") from error

    def _stats(self, options: dict[str, Any]) -> None:
        """Show what was counted, once or again and again."""
        if options["minutes"] < 1:
            raise CommandError("--minutes takes a whole number above 0.")
        minutes = None if options["all"] else min(options["minutes"], 7 * 24 * 60)
        seconds, times = options["watch"], options["times"]
        if seconds is not None and not 0 < seconds <= 86_400:
            raise CommandError("--watch takes seconds above 0, of a day at most.")
        with self._screen(is_live=seconds is not None and not options["json"]) as show:
            while True:
                found = stats.gather(minutes=minutes, with_queries=options["queries"])
                if options["json"]:
                    self.stdout.write(json.dumps(found.as_data()))
                else:
                    show(stats.tables(found))
                times = times and times - 1
                if seconds is None or times == 0:
                    return
                time.sleep(seconds)

    def _doctor(self, options: dict[str, Any]) -> None:
        """Tell all findings, the bad ones last; end with the code 1 if one of them is an error."""
        findings = sorted(doctor.examine(), key=lambda finding: list(MARKS).index(finding.level))
        if options["json"]:
            fields = ("level", "subject", "says", "remedy")
            self.stdout.write(json.dumps([{name: getattr(one, name) for name in fields} for one in findings]))
        else:
            for finding in findings:
                self._tell(finding)
        errors = sum(finding.level == "error" for finding in findings)
        if errors:
            raise CommandError(f"{errors} error{'' if errors == 1 else 's'}: see above.")

    def _tell(self, finding: doctor.Finding) -> None:
        style = {"ok": self.style.SUCCESS, "warning": self.style.WARNING, "error": self.style.ERROR}
        mark = style.get(finding.level, str)(f"{MARKS[finding.level]:<8}")
        self.stdout.write(f"{mark}{finding.subject}: {finding.says}")
        if finding.remedy:
            self.stdout.write(f"{'':<8}{finding.remedy}")

    @contextmanager
    def _screen(self, *, is_live: bool) -> Iterator[Callable[[list[stats.Table]], None]]:
        """Give what shows tables: in one place again and again if it is live, by rich where that is installed."""
        if is_live and self.stdout.isatty() and find_spec("rich"):
            from cacheops_django.live import screen

            with screen() as show:
                yield lambda tables: show(tables, NOTHING_YET)
            return

        def show_plainly(tables: list[stats.Table]) -> None:
            if is_live and self.stdout.isatty():
                # To the top, and clear what is there.
                self.stdout.write("\x1b[H\x1b[2J", ending="")
            self.stdout.write("\n\n".join(map(str, tables)) or NOTHING_YET)

        try:
            yield show_plainly
        except KeyboardInterrupt:
            self.stdout.write("")


def queryset_of(model: type[Model], options: dict[str, Any]) -> QuerySet[Any]:
    """Return the queryset that the options describe."""
    queryset: QuerySet[Any] = model._default_manager.all()
    if (alias := options["database"]) is not None:
        if alias not in connections:
            raise CommandError(
                f'There is no database "{alias}". There are: {", ".join(sorted(connections))}.'
            )
        queryset = queryset.using(alias)
    queryset = queryset.filter(**conditions(options["filter"]))
    if options["exclude"]:
        queryset = queryset.exclude(**conditions(options["exclude"]))
    return queryset.order_by(*options["order_by"]) if options["order_by"] else queryset


def conditions(written: list[str]) -> dict[str, Any]:
    """Return the conditions that are written as "field=value"; a list has commas between its values."""
    found = {}
    for text in written:
        name, equals, value = text.partition("=")
        if not equals:
            raise CommandError(f'"{text}" is no condition: write it as field=value.')
        found[name] = value_of(name.rpartition("__")[2], value)
    return found


def value_of(lookup: str, text: str) -> Any:
    """Return a value as its lookup takes it."""
    if lookup in ("in", "range"):
        return text.split(",")
    if lookup == "isnull":
        if text not in ("True", "False"):
            raise CommandError(f'isnull is True or False, not "{text}".')
        return text == "True"
    return None if text == "None" else text
