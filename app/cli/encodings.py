"""`flask fetch-encodings`: download tiktoken's data."""

from __future__ import annotations

import click
from flask.cli import with_appcontext

from app.services import services


@click.command("fetch-encodings")
@with_appcontext
def fetch_encodings() -> None:
    """Download tiktoken's data for the configured models, so that tokens are counted exactly."""
    import httpx2  # imported here, since no other command needs it

    def download(url: str) -> bytes:
        return httpx2.get(url, timeout=60.0).raise_for_status().content

    try:
        files, unknown = services().token_counts.fetch(download)
    except (httpx2.HTTPError, OSError, ValueError) as error:
        raise click.ClickException(f"The data cannot be downloaded ({error or type(error).__name__}).") from None
    for file in files:
        click.echo(f"{file} is stored. Workers read it when they start.")
    if unknown:
        click.echo(f"tiktoken has no encoding for {', '.join(unknown)}. Tokens are estimated from the bytes.")
