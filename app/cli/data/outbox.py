"""`flask outbox`: tell other systems of settled requests, and show what they do not take."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

import click
from flask.cli import with_appcontext

from app.billing.ledger.backlog import count_backlogs
from app.billing.outbox.delivery import deliver as deliver_due
from app.billing.outbox.queue import OutboxQueue
from app.billing.outbox.targets import Target, open_targets
from app.cli.errors import reported
from app.cli.repeating import repeat, watch_option
from app.cli.table import print_table
from app.runtime.times import format_minute
from app.services import services

_TARGETS = click.Choice(("webhook", "stripe"))


@click.group("outbox", invoke_without_command=True)
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="How many given up.")
@click.pass_context
@with_appcontext
def outbox(context: click.Context, limit: int) -> None:
    """Show what USAGE_WEBHOOK_URL and Stripe are still to be told of, and what they do not take."""
    if context.invoked_subcommand is not None:
        return
    queue = _open_queue()
    with reported():
        backlogs, given_up = count_backlogs(services().database), queue.list_given_up(limit)
    if not backlogs:
        click.echo("Nothing waits.")
        return
    print_table(
        ("TARGET", "OLDEST", "WAITING", "FAILED", "GIVEN UP"),
        [
            (
                each.target,
                "-" if each.oldest_at is None else format_minute(each.oldest_at / 1000),
                f"{each.waiting:,}",
                f"{each.failed:,}",
                f"{each.given_up:,}",
            )
            for each in backlogs
        ],
        figures=3,
    )
    for each in given_up:
        click.echo(f"{each.target} {each.entry_id}: given up after {each.attempts} attempts: {each.reason}")


@outbox.command("deliver")
@watch_option("Deliver")
@with_appcontext
def deliver(every_s: int | None) -> None:
    """Tell the webhook and Stripe of what is due.

    Several processes may do so at the same time, and each may be killed at any time: what it had begun is sent again
    five minutes later, with the same id.
    """
    targets = list(open_targets(services().config))
    if not targets:
        raise click.ClickException("Neither USAGE_WEBHOOK_URL nor STRIPE_API_KEY is set.")
    queue = _open_queue()
    with ExitStack() as stack:
        for target in targets:
            stack.callback(target.close)
        repeat(partial(_deliver, queue, targets), every_s)


@outbox.command("retry")
@click.option("--target", type=_TARGETS, help="Only of this one.")
@with_appcontext
def retry(target: str | None) -> None:
    """Have what was given up sent again by the next delivery.

    Stripe counts an event twice if it took it more than a day ago: look those up first that say so.
    """
    with reported():
        again = _open_queue().retry_given_up(target)
    click.echo(f"{again:,} entries will be sent again.")


def _open_queue() -> OutboxQueue:
    database = services().database
    with reported():
        database.migrate()
    return OutboxQueue(database)


def _deliver(queue: OutboxQueue, targets: Sequence[Target]) -> None:
    for target in targets:
        done = deliver_due(queue, target)
        click.echo(
            f"{target.name}: {done.accepted:,} taken, {done.failed:,} to be sent again, {done.given_up:,} given up."
        )
