"""`flask batches`: look after batches, from cron or systemd, and list them."""

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
    """Look after batches, and list them."""


@batches.command("poll")
@click.option(
    "--watch",
    "every_s",
    metavar="SECONDS",
    type=click.IntRange(1, 86_400),
    help="Go on, so often, instead of ending after one round.",
)
@with_appcontext
def poll(every_s: int | None) -> None:
    """Ask the upstream about every batch that has not ended, and settle those that have.

    It may run at several places at once, and be stopped at any moment.
    """
    while True:
        try:
            found = services().batches.poll()
        except DatabaseUnavailable as error:
            if every_s is None:
                raise click.ClickException(f"The database of DATABASE_URL does not answer ({error}).") from None
        else:
            click.echo(f"{found.ended} ended, {found.running} go on, {found.failed} could not be looked after.")
        if every_s is None:
            return
        time.sleep(every_s)


@batches.command("list")
@click.option(
    "--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="How many, the newest first."
)
@with_appcontext
def show_all(limit: int) -> None:
    """Show the batches of everybody."""
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
