"""Do what a command does once, or with --watch again and again."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import click

from app.cli.errors import reported
from app.storage.database.database import DatabaseUnavailable


def watch_option(verb: str) -> Callable[[Any], Any]:
    """Return the option --watch of a command, as its argument `every_s`."""
    return click.option(
        "--watch",
        "every_s",
        metavar="SECONDS",
        type=click.IntRange(1, 86_400),
        help=f"{verb} again after so many seconds, instead of once.",
    )


def repeat(work: Callable[[], None], every_s: int | None) -> None:
    """Do the work, again and again if there is an interval: then a database that is away is tried again as well."""
    if every_s is None:
        with reported():
            work()
        return
    while True:
        with suppress(DatabaseUnavailable):
            work()
        time.sleep(every_s)
