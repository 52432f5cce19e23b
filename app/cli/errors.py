"""End a command with an error message instead of a traceback."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import click

from app.storage.database.database import DatabaseUnavailable


@contextlib.contextmanager
def report_errors(*kinds: type[Exception]) -> Iterator[None]:
    """End the command with the message of an error of these kinds, or with the reason why the database is unavailable."""
    try:
        yield
    except DatabaseUnavailable as error:
        advice = f": {error.advice}" if error.advice else ""
        raise click.ClickException(f"The database of DATABASE_URL cannot be used ({error}){advice}.") from None
    except kinds as error:
        raise click.ClickException(str(error)) from None
