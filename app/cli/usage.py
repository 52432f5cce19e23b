"""`flask usage`: print the tokens and the cost of a month."""

from __future__ import annotations

import calendar
import re
import sys
import time
from collections.abc import Sequence
from functools import partial
from typing import cast, get_args
from urllib.parse import urlsplit

import click
from flask.cli import with_appcontext

from app.billing.exports.focus import BY, write_focus
from app.billing.ledger.reports import Total
from app.billing.ledger.totals_query import Grouping
from app.cli.errors import report_errors
from app.cli.table import print_table
from app.models.pricing.money import format_usd
from app.models.token_counts import FIGURES, get_figures
from app.runtime.times import format_minute
from app.services import services


@click.command("usage")
@click.option("--month", metavar="YYYY-MM", help="The month, in UTC. By default the current one.")
@click.option(
    "--by", default="user", show_default=True, help="Group by day, model, route, user, tenant, comma-separated."
)
@click.option("--tenant", help="Only this tenant.")
@click.option("--user", help="Only this user.")
@click.option(
    "--format",
    "style",
    default="table",
    show_default=True,
    type=click.Choice(("table", "focus")),
    help="focus: CSV in the format FOCUS 1.2, with a row for each day, tenant, user, model and route.",
)
@with_appcontext
def usage(month: str | None, by: str, tenant: str | None, user: str | None, style: str) -> None:
    """Show the tokens and the cost of a month."""
    month = month or time.strftime("%Y-%m", time.gmtime())
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", month):
        raise click.BadParameter("must be a month such as 2026-11", param_hint="--month")
    names = [name for part in by.split(",") if (name := part.strip())]
    if unknown := [name for name in names if name not in get_args(Grouping)]:
        raise click.BadParameter(f"{unknown[0]} is not one of {', '.join(get_args(Grouping))}", param_hint="--by")
    totals = partial(
        services().reports.totals, tenant=tenant, user=user, first_day=f"{month}-01", last_day=f"{month}-31"
    )
    if style == "focus":
        with report_errors():
            rows = totals(BY)
        _write_focus(rows)
        return
    with report_errors():
        events = services().safety_events.list_all(
            tenant=tenant, first_day=f"{month}-01", last_day=_last_day(month)
        )
        rows = totals(cast(Sequence[Grouping], names)) if names else []
        (total,) = totals()
    head = (*names, "requests", *(name.removesuffix("_tokens") for name in FIGURES), "USD")
    lines = [(*row.group, *_format_figures(row)) for row in rows]
    if names:
        lines.append(("total", *[""] * (len(names) - 1), *_format_figures(total)))
    else:
        lines.append(_format_figures(total))
    print_table(head, lines, figures=2 + len(FIGURES))
    if total.estimated:
        click.echo(
            f"The tokens of {total.estimated:,} of these requests are estimates: the upstream did not report them."
        )
    if total.unpriced:
        click.echo(f"The cost of {total.unpriced:,} of these requests is unknown and not included.")

    for event in events:
        who = "unknown user" if event.user_id is None else f"user {event.user_id} of tenant {event.tenant}"
        report = " ".join(filter(None, (event.kind, event.category, event.case_id)))
        click.echo(f"{format_minute(event.received_at / 1000)} OpenAI reported {report}: {who}; {event.action}.")


def _write_focus(rows: Sequence[Total]) -> None:
    config = services().config
    upstream = urlsplit(config.openai_base_url or config.azure_openai_endpoint).hostname
    write_focus(rows, sys.stdout, account=config.openai_org_id or "default", provider=upstream or "OpenAI")


def _last_day(month: str) -> str:
    year, number = map(int, month.split("-"))
    return f"{month}-{calendar.monthrange(year, number)[1]:02}"


def _format_figures(total: Total) -> tuple[str, ...]:
    counts = (total.requests, *get_figures(total))
    return (*(f"{count:,}" for count in counts), format_usd(total.cost_micro_usd))
