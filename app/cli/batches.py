"""`flask batches`: poll batches, from cron or systemd, and list them."""

from __future__ import annotations

import click
from flask.cli import with_appcontext

from app.cli.errors import report_errors
from app.cli.repeating import repeat, watch_option
from app.cli.table import print_table
from app.models.pricing.money import format_usd
from app.runtime.times import format_minute
from app.services import services


@click.group()
def batches() -> None:
    """Poll and list batches."""


@batches.command("poll")
@watch_option("Poll")
@with_appcontext
def poll(every_s: int | None) -> None:
    """Update all open batches from the upstream, and settle those that have ended.

    It is safe to run several processes at the same time, and to stop each at any time.
    """
    repeat(_poll_once, every_s)


@batches.command("list")
@click.option(
    "--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="The maximum number of batches."
)
@with_appcontext
def list_batches(limit: int) -> None:
    """List the batches of all users, the newest first."""
    with report_errors():
        found = services().batches.list_page(None, limit=limit)
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


def _poll_once() -> None:
    found = services().batches.poll()
    click.echo(f"{found.ended} ended, {found.running} still open, {found.failed} could not be checked.")
