"""Run the work of a command once, or repeatedly with --watch."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import click

from app.cli.errors import report_errors
from app.storage.database.database import DatabaseUnavailable


def watch_option(verb: str) -> Callable[[Any], Any]:
    """Return the option --watch of a command, which sets its argument `every_s`."""
    return click.option(
        "--watch",
        "every_s",
        metavar="SECONDS",
        type=click.IntRange(1, 86_400),
        help=f"{verb} repeatedly, with a pause of this many seconds.",
    )


def repeat(work: Callable[[], None], every_s: int | None) -> None:
    """Run the work once, or repeatedly if there is an interval, even while the database is unavailable."""
    if every_s is None:
        with report_errors():
            work()
        return
    while True:
        with suppress(DatabaseUnavailable):
            work()
        time.sleep(every_s)
