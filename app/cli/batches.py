"""`flask batches`: poll batches, from cron or systemd, and list them."""

from __future__ import annotations

import time

import click
from flask.cli import with_appcontext

from app.cli.table import print_table
from app.database.database import DatabaseUnavailable
from app.pricing.money import format_usd
from app.runtime.times import format_minute
from app.services import services


@click.group()
def batches() -> None:
    """Poll and list batches."""


@batches.command("poll")
@click.option(
    "--watch",
    "every_s",
    metavar="SECONDS",
    type=click.IntRange(1, 86_400),
    help="Poll again after so many seconds, instead of once.",
)
@with_appcontext
def poll(every_s: int | None) -> None:
    """Update all open batches from the upstream, and settle those that have ended.

    Several processes may poll at the same time, and each may be stopped at any time.
    """
    while True:
        try:
            found = services().batches.poll()
        except DatabaseUnavailable as error:
            if every_s is None:
                raise click.ClickException(f"The database of DATABASE_URL does not answer ({error}).") from None
        else:
            click.echo(f"{found.ended} ended, {found.running} still open, {found.failed} could not be checked.")
        if every_s is None:
            return
        time.sleep(every_s)


@batches.command("list")
@click.option(
    "--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="The maximum number of batches."
)
@with_appcontext
def list_batches(limit: int) -> None:
    """List the batches of all users, the newest first."""
    try:
        found = services().batches.list_page(None, limit=limit)
    except DatabaseUnavailable as error:
        raise click.ClickException(f"The database of DATABASE_URL does not answer ({error}).") from None
    head = ("ID", "TENANT", "USER", "KIND", "MODEL", "CREATED", "STATUS", "REQUESTS", "ANSWERED", "USD")
    rows: list[tuple[str, ...]] = [
        (
            batch.id,
            batch.tenant,
            batch.user,
            batch.kind,
            batch.model,
            format_minute(batch.created_at / 1000),
            batch.status,
            f"{batch.total:,}",
            f"{batch.completed:,}",
            "" if batch.cost_micro_usd is None else format_usd(batch.cost_micro_usd),
        )
        for batch in found
    ]
    print_table(head, rows, figures=3)
