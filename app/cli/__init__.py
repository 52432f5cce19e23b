"""The `flask` commands."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast, get_args

import click
from flask import Flask
from flask.cli import with_appcontext

from app.auth.keys import ApiKey, InvalidKeyRequest, NewKey
from app.auth.principal import DEFAULT_TENANT, VISITOR_SCOPES
from app.cli.batches import batches
from app.cli.prompts import prompts
from app.cli.table import print_table
from app.database.database import DatabaseUnavailable
from app.ledger.reports import Grouping, Total
from app.pricing.money import format_usd
from app.runtime import clock
from app.runtime.times import format_minute
from app.services import services
from app.token_counts import FIGURES, get_figures


def init_cli(app: Flask) -> None:
    app.cli.add_command(offline_model)
    app.cli.add_command(keys)
    app.cli.add_command(usage)
    app.cli.add_command(batches)
    app.cli.add_command(prompts)
    app.cli.add_command(fetch_encodings)


@click.command("offline-model")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", default=8001, show_default=True, type=click.IntRange(0, 65_535))
def offline_model(host: str, port: int) -> None:
    """Serve the offline model by itself.

    It speaks OpenAI's wire format, so any program made for OpenAI can be pointed at it. It is no AI and says so.
    """
    # Imported here: no other command needs them.
    from werkzeug.serving import make_server

    from app.offline_model import create_offline_model

    with TemporaryDirectory(prefix="gatehouse-offline-") as files:
        try:
            server = make_server(host, port, create_offline_model(directory=Path(files)), threaded=True)
        except (OSError, SystemExit) as error:
            raise click.ClickException(f"Port {port} of {host} cannot be listened on.") from error
        url = f"http://{host}:{server.server_port}/v1"
        click.echo(f"The offline model answers at {url}; Ctrl-C stops it. To use it from Gatehouse:")
        click.echo(f"  OPENAI_BASE_URL={url} make run")
        server.serve_forever()


@click.command("fetch-encodings")
@with_appcontext
def fetch_encodings() -> None:
    """Download tiktoken's data for the configured models, so that long conversations are counted exactly."""
    import httpx2  # imported here: no other command needs it

    def download(url: str) -> bytes:
        return httpx2.get(url, timeout=60.0).raise_for_status().content

    try:
        files, unknown = services().token_counts.fetch(download)
    except (httpx2.HTTPError, OSError, ValueError) as error:
        raise click.ClickException(f"The data cannot be had ({error or type(error).__name__}).") from None
    for file in files:
        click.echo(f"{file} is there; workers read it when they start.")
    if unknown:
        click.echo(
            f"tiktoken knows no encoding of {', '.join(unknown)}: what is sent there is counted by its bytes."
        )


@click.command("usage")
@click.option("--month", metavar="YYYY-MM", help="The month, in UTC; this one if it is not said.")
@click.option(
    "--by", default="user", show_default=True, help="Some of day, model, route, user, tenant, comma-separated."
)
@click.option("--tenant", help="Of this tenant only.")
@click.option("--user", help="Of this user only.")
@with_appcontext
def usage(month: str | None, by: str, tenant: str | None, user: str | None) -> None:
    """Show what was used in a month, and what it cost."""
    month = month or time.strftime("%Y-%m", time.gmtime())
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", month):
        raise click.BadParameter("must be a month such as 2026-11", param_hint="--month")
    names = [name for part in by.split(",") if (name := part.strip())]
    if unknown := [name for name in names if name not in get_args(Grouping)]:
        raise click.BadParameter(f"{unknown[0]} is none of {', '.join(get_args(Grouping))}", param_hint="--by")
    totals = partial(
        services().reports.totals, tenant=tenant, user=user, first_day=f"{month}-01", last_day=f"{month}-31"
    )
    try:
        rows = totals(cast(Sequence[Grouping], names)) if names else []
        (total,) = totals()
    except DatabaseUnavailable as error:
        raise click.ClickException(f"The ledger does not answer ({error}).") from None
    head = (*names, "requests", *(name.removesuffix("_tokens") for name in FIGURES), "USD")
    lines = [(*row.group, *_format_figures(row)) for row in rows]
    if names:
        lines.append(("total", *[""] * (len(names) - 1), *_format_figures(total)))
    else:
        lines.append(_format_figures(total))
    print_table(head, lines, figures=2 + len(FIGURES))
    if total.estimated:
        click.echo(f"The tokens of {total.estimated:,} of these requests were estimated: nobody reported them.")
    if total.unpriced:
        click.echo(f"The cost of {total.unpriced:,} of these requests is not known, and not in the sum.")


def _format_figures(total: Total) -> tuple[str, ...]:
    counts = (total.requests, *get_figures(total))
    return (*(f"{count:,}" for count in counts), format_usd(total.cost_micro_usd))


@click.group()
def keys() -> None:
    """Make, list, replace and end the keys of sites' own servers.

    A server sends its key as `Authorization: Bearer gh_…`. It is shown once, when it is made.
    """


@keys.command("create")
@click.option("--name", required=True, help="What it is for, such as shop-backend; for the list only.")
@click.option(
    "--tenant", default=DEFAULT_TENANT, show_default=True, help="The site whose users and usage it sees."
)
@click.option(
    "--scopes",
    default=",".join(sorted(VISITOR_SCOPES)),
    show_default=True,
    help="What it may do, comma-separated; admin is there besides.",
)
@with_appcontext
def create_key(name: str, tenant: str, scopes: str) -> None:
    """Make a key and show it, once."""
    wanted = [scope for part in scopes.split(",") if (scope := part.strip())]
    with _report_errors():
        _print_key(services().authenticator.keys.create(tenant=tenant, name=name, scopes=wanted))


@keys.command("list")
@with_appcontext
def list_keys() -> None:
    """Show every key, but not its secret."""
    with _report_errors():
        known = services().authenticator.keys.list_all()
    if not known:
        click.echo("There are no keys. To make one: flask keys create --name my-server")
        return
    now = clock.now()
    print_table(
        ("ID", "TENANT", "NAME", "SCOPES", "CREATED", "STATE"),
        [
            (
                key.id,
                key.tenant,
                key.name,
                ",".join(sorted(key.scopes)),
                format_minute(key.created_at),
                _describe_state(key, now),
            )
            for key in known
        ],
    )


@keys.command("rotate")
@click.argument("key_id")
@click.option(
    "--grace",
    "grace_h",
    default=24.0,
    show_default=True,
    type=click.FloatRange(0, 24 * 90),
    help="For how many hours the old one stays good.",
)
@with_appcontext
def rotate_key(key_id: str, grace_h: float) -> None:
    """Make a key in the place of another, which stays good for a while."""
    with _report_errors():
        new = services().authenticator.keys.rotate(_parse_id(key_id), grace_s=round(grace_h * 3600))
    _print_key(new)
    click.echo(f"{_parse_id(key_id)} stays good for {grace_h:g} hours.", err=True)


@keys.command("revoke")
@click.argument("key_id")
@with_appcontext
def revoke_key(key_id: str) -> None:
    """End a key at once, and every visitor token that was made with it."""
    with _report_errors():
        key = services().authenticator.keys.revoke(_parse_id(key_id))
    click.echo(f"The key {key.id} ({key.name}) is revoked, and the visitor tokens made with it.")


@contextlib.contextmanager
def _report_errors() -> Iterator[None]:
    try:
        yield
    except InvalidKeyRequest as error:
        raise click.ClickException(str(error)) from None
    except DatabaseUnavailable:
        raise click.ClickException(
            "The database of DATABASE_URL cannot be used; the log line above says why."
        ) from None


def _parse_id(text: str) -> str:
    """An id, also where it is given as keys begin (gh_AbCd1234) or, by mistake, with all of the key."""
    return text.removeprefix("gh_")[:8] if text.startswith("gh_") else text


def _print_key(new: NewKey) -> None:
    # The key alone goes to standard output, so that it can be piped to where it belongs.
    click.echo(new.text)
    click.echo(
        f"This is the key {new.key.id} of {new.key.tenant} for {','.join(sorted(new.key.scopes))}. It is not shown"
        " again: put it among the secrets of the\nserver that calls Gatehouse, say as GATEHOUSE_KEY, and never into a"
        " page. It is sent as `Authorization: Bearer $GATEHOUSE_KEY`.",
        err=True,
    )


def _describe_state(key: ApiKey, now: float) -> str:
    state = key.state(now)
    return f"replaced, until {format_minute(key.expires_at)}" if state == "replaced" and key.expires_at else state
