"""End a command with a sentence instead of a traceback."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import click

from app.database.database import DatabaseUnavailable


@contextlib.contextmanager
def reported(*kinds: type[Exception]) -> Iterator[None]:
    """End the command with the message of an error of these kinds, or a sentence about a database that is away."""
    try:
        yield
    except DatabaseUnavailable:
        raise click.ClickException(
            "The database of DATABASE_URL cannot be used; the log line above says why."
        ) from None
    except kinds as error:
        raise click.ClickException(str(error)) from None
