"""`flask reconcile`: compare the ledger with OpenAI's usage and costs of the last days."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click
import orjson
from flask.cli import with_appcontext

from app.billing.reconciliation.compare import Drift, compare
from app.billing.reconciliation.ledger_side import read_booked
from app.billing.reconciliation.organization import API, UsageUnavailable, fetch_reported
from app.cli.errors import report_errors
from app.cli.table import print_table
from app.models.pricing.money import format_usd
from app.runtime import clock
from app.runtime.periods import DAY_MS, get_day
from app.services import services


@click.command("reconcile")
@click.option(
    "--days",
    default=1,
    show_default=True,
    type=click.IntRange(1, 31),
    help="Number of days to compare, up to yesterday (UTC).",
)
@click.option(
    "--tolerance",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0, 100),
    help="Maximum unexplained difference, in percent of OpenAI's costs. Above it, the exit status is 1.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@with_appcontext
def reconcile(days: int, tolerance: float, as_json: bool) -> None:
    """Compare the ledger with OpenAI's usage and costs, by day and model, and explain the differences."""
    built = services()
    config = built.config
    if not config.openai_admin_key:
        raise click.ClickException(
            "Set OPENAI_ADMIN_KEY to an admin key of your OpenAI organization that may read usage."
        )
    now = clock.now_ms()
    first, last = get_day(now - days * DAY_MS), get_day(now - DAY_MS)
    with report_errors(UsageUnavailable):
        built.database.migrate()
        booked = read_booked(built.database, built.reports, first, last)
        api = (config.openai_base_url or API).rstrip("/")
        theirs = fetch_reported(config.openai_admin_key, first, last, api=api)
    drifts = compare(booked, theirs)
    if as_json:
        click.echo(orjson.dumps([_to_json(drift) for drift in drifts], option=orjson.OPT_INDENT_2))
    else:
        _print(drifts)
    unknown = sum(abs(each.micro_usd.unknown) + abs(each.micro_usd.elsewhere) for each in drifts)
    if unknown * 100 > tolerance * sum(each.reported.micro_usd for each in drifts):
        click.echo(f"{format_usd(unknown)} USD are unexplained, or were spent outside Gatehouse.", err=True)
        raise SystemExit(1)


def _to_json(drift: Drift) -> dict[str, Any]:
    """Return the fields of a difference, with the name that the first release gave to OpenAI's figures."""
    return {"told" if name == "reported" else name: value for name, value in asdict(drift).items()}


def _print(drifts: list[Drift]) -> None:
    if not drifts:
        click.echo("Neither the ledger nor OpenAI has any usage in that time.")
        return
    head = ("DAY", "MODEL", "TOKENS", "OPENAI'S", "USD", "OPENAI'S", "DRIFT")
    causes = ("SWEPT", "ESTIMATED", "UNPRICED", "ELSEWHERE", "UNKNOWN")
    rows = [
        (
            each.day,
            each.model,
            f"{each.booked.tokens:,}",
            f"{each.reported.tokens:,}",
            format_usd(each.booked.micro_usd),
            format_usd(each.reported.micro_usd),
            format_usd(each.booked.micro_usd - each.reported.micro_usd),
            *(format_usd(getattr(each.micro_usd, cause.lower())) for cause in causes),
        )
        for each in drifts
    ]
    print_table((*head, *causes), rows, figures=10)
