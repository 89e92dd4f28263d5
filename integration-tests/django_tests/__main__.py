"""By hand: ``nox -s django_tests -- queries basic``, or ``python -m django_tests`` in this folder's parent."""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import django
from databases import KINDS, why_not

from cacheops_core.testing import start_server
from django_tests import modules, sources
from django_tests.process import NoReport, Place
from django_tests.reports import differences
from django_tests.table import Row, Table

DATABASES = ("sqlite", "postgresql")


def main() -> int:
    """Run what the command line says, print the table, and return 1 if anything differs that is not known to."""
    parser = arguments()
    options = parser.parse_args()
    if options.all and options.modules:
        parser.error(f"--all runs all modules: name none with it, got {' '.join(options.modules)}")
    if why := why_not(options.database):
        parser.error(f"there is no {options.database} to test with: {why}")
    with tempfile.TemporaryDirectory(prefix="django-tests-") as temporary:
        try:
            tests = sources.tests_in(options.folder or Path(temporary))
            there = sources.modules_in(tests)
            labels = there if options.all else modules.chosen(options.modules, there)
        except (sources.NoSources, modules.UnknownModule) as error:
            parser.error(str(error))
        print(f"Django {django.get_version()} on {options.database}, {len(labels)} modules\n")
        table = Table(labels)
        with place(tests, Path(temporary), options) as where:
            for label in labels:
                table.begin(label)
                table.add(row(where, label))
    print(table.conclusion())
    return int(table.is_bad)


@contextmanager
def place(tests: Path, folder: Path, options: argparse.Namespace) -> Iterator[Place]:
    """Make databases and a server for the tests."""
    with (
        database(options.database) as default,
        database(options.database) as other,
        start_server() as server,
    ):
        yield Place(
            tests=tests,
            folder=folder,
            databases={"default": default, "other": other},
            server=server.url,
            is_missing=options.miss,
        )


def row(where: Place, label: str) -> Row:
    """Run what a label names without the cache and with it, and return what came of it."""
    try:
        plain, cached = (where.run(label, is_cached=is_cached) for is_cached in (False, True))
    except NoReport as error:
        return Row(label, problem=str(error))
    return Row(label, len(cached.outcomes), cached.reads, cached.hits, [*differences(plain, cached)])


@contextmanager
def database(kind: str) -> Iterator[dict[str, Any]]:
    """Describe a database, beside which Django's runner makes the one that it tests with."""
    if kind == "sqlite":
        # In memory, where no name is given.
        yield {"ENGINE": "django.db.backends.sqlite3"}
        return
    with KINDS[kind]() as described:
        yield described


def arguments() -> argparse.ArgumentParser:
    """Return what knows the command line."""
    parser = argparse.ArgumentParser(
        prog="django_tests",
        description="Run Django's own tests with everything cached, each read done twice and compared with the "
        "database, and name those that do not come out as they do without the cache.",
        epilog="Without names, those of the ORM are run.",
    )
    parser.add_argument(
        "modules", nargs="*", metavar="MODULE", help="such as queries, or queries.tests.Queries1Tests"
    )
    parser.add_argument("--all", action="store_true", help="all modules that Django has")
    parser.add_argument("--database", choices=DATABASES, default=DATABASES[0], help="default: %(default)s")
    parser.add_argument("--miss", action="store_true", help="let every lookup be a miss, and compare these")
    parser.add_argument("--folder", type=folder, help="where Django's sources are kept for the next time")
    return parser


def folder(text: str) -> Path:
    """Return the folder that an argument names, made if it is not there."""
    path = Path(text)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"must be a folder, or the name of a new one: {error}") from error
    return path


if __name__ == "__main__":
    sys.exit(main())
