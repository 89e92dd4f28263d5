"""`manage.py reapconjs`: accepted where crontabs still call it."""

from __future__ import annotations

from io import StringIO

from django.core.management import call_command

from cacheops_django.management.commands import reapconjs


def test_it_says_that_there_is_nothing_to_do() -> None:
    out = StringIO()
    options = ["--chunk-size=100", "--min-conj-set-size=10", "--timeout=1", "--dry-run"]
    call_command(reapconjs.Command(), *options, stdout=out)
    call_command(reapconjs.Command(), chunk_size=100, min_conj_set_size=10, dry_run=True, stdout=out)
    assert out.getvalue().count("Nothing to reap") == 2
