"""`flask keys` creates, lists, rotates and revokes API keys."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import click
from flask.cli import with_appcontext

from app.auth.keys import ApiKey, InvalidKeyRequest, NewKey
from app.auth.principal import DEFAULT_TENANT, VISITOR_SCOPES
from app.cli.table import print_table
from app.database.database import DatabaseUnavailable
from app.runtime import clock
from app.runtime.times import format_minute
from app.services import services


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
