"""`flask outbox`: deliver settled requests to other systems, and show what they reject."""

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
from app.cli.errors import report_errors
from app.cli.repeating import repeat, watch_option
from app.cli.table import print_table
from app.runtime.times import format_minute
from app.services import services

_TARGETS = click.Choice(("webhook", "stripe"))


@click.group("outbox", invoke_without_command=True)
@click.option(
    "--limit",
    default=50,
    show_default=True,
    type=click.IntRange(1, 10_000),
    help="Maximum failed entries to show.",
)
@click.pass_context
@with_appcontext
def outbox(context: click.Context, limit: int) -> None:
    """Show what has not been delivered to USAGE_WEBHOOK_URL and Stripe yet, and what they rejected."""
    if context.invoked_subcommand is not None:
        return
    queue = _open_queue()
    with report_errors():
        backlogs, given_up = count_backlogs(services().database), queue.list_given_up(limit)
    if not backlogs:
        click.echo("The outbox is empty.")
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
    """Send all due entries to the webhook and to Stripe.

    It is safe to run several processes at the same time, and to kill each at any time: entries that it had begun are
    sent again five minutes later, with the same id.
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
@click.option("--target", type=_TARGETS, help="Only entries for this target.")
@with_appcontext
def retry(target: str | None) -> None:
    """Let the next delivery send the entries again that were given up.

    Stripe counts an event twice if it accepted it more than a day ago. Look up entries whose reason says so first.
    """
    with report_errors():
        again = _open_queue().retry_given_up(target)
    click.echo(f"{again:,} entries will be sent again.")


def _open_queue() -> OutboxQueue:
    database = services().database
    with report_errors():
        database.migrate()
    return OutboxQueue(database)


def _deliver(queue: OutboxQueue, targets: Sequence[Target]) -> None:
    for target in targets:
        done = deliver_due(queue, target)
        click.echo(
            f"{target.name}: {done.accepted:,} delivered, {done.failed:,} to be sent again, {done.given_up:,} given up."
        )
