"""End a command with a sentence instead of a traceback."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import click

from app.storage.database.database import DatabaseUnavailable


@contextlib.contextmanager
def reported(*kinds: type[Exception]) -> Iterator[None]:
    """End the command with the message of an error of these kinds, or why the database cannot be used."""
    try:
        yield
    except DatabaseUnavailable as error:
        advice = f": {error.advice}" if error.advice else ""
        raise click.ClickException(f"The database of DATABASE_URL cannot be used ({error}){advice}.") from None
    except kinds as error:
        raise click.ClickException(str(error)) from None
