"""`flask keys`: create, list, rotate and revoke API keys."""

from __future__ import annotations

import click
from flask.cli import with_appcontext

from app.auth.keys import ApiKey, InvalidKeyRequest, NewKey, parse_key_id
from app.auth.principal import ALL_TENANTS, DEFAULT_TENANT, VISITOR_SCOPES
from app.cli.actor import command_actor
from app.cli.errors import report_errors
from app.cli.table import print_table
from app.runtime import clock
from app.runtime.times import format_minute
from app.services import services


@click.group()
def keys() -> None:
    """Create, list, rotate and revoke API keys.

    A site's server sends its key as `Authorization: Bearer gh_…`. A key is shown once, when it is created.
    """


@keys.command("create")
@click.option("--name", required=True, help="A label for the list, such as shop-backend.")
@click.option("--tenant", default=DEFAULT_TENANT, show_default=True, help="The tenant that the key belongs to.")
@click.option(
    "--scopes",
    default=",".join(sorted(VISITOR_SCOPES)),
    show_default=True,
    help="Scopes of the key, comma-separated. admin also gives access to the usage, batches and tokens of all users.",
)
@click.option("--all-tenants", is_flag=True, help="Give a key with the scope admin access to all tenants.")
@with_appcontext
def create_key(name: str, tenant: str, scopes: str, all_tenants: bool) -> None:
    """Create a key and show it, once."""
    wanted = [scope for part in scopes.split(",") if (scope := part.strip())]
    if all_tenants:
        wanted.append(ALL_TENANTS)
    with report_errors(InvalidKeyRequest):
        _print_key(
            services().authenticator.keys.create(tenant=tenant, name=name, scopes=wanted, by=command_actor())
        )


@keys.command("list")
@with_appcontext
def list_keys() -> None:
    """List all keys, without their secrets."""
    with report_errors(InvalidKeyRequest):
        found = services().authenticator.keys.list_all()
    if not found:
        click.echo("There are no keys. Create one with: flask keys create --name my-server")
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
            for key in found
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
    help="How many hours the old key remains valid.",
)
@with_appcontext
def rotate_key(key_id: str, grace_h: float) -> None:
    """Create a key that replaces another one and has its limits. The old key remains valid for some hours."""
    with report_errors(InvalidKeyRequest):
        built = services()
        new = built.stored_limits.rotate_key(
            built.authenticator.keys, parse_key_id(key_id), grace_s=round(grace_h * 3600), by=command_actor()
        )
    _print_key(new)
    click.echo(f"{parse_key_id(key_id)} remains valid for {grace_h:g} hours.", err=True)


@keys.command("revoke")
@click.argument("key_id")
@with_appcontext
def revoke_key(key_id: str) -> None:
    """Revoke a key and all visitor tokens that were issued with it."""
    with report_errors(InvalidKeyRequest):
        key = services().authenticator.keys.revoke(parse_key_id(key_id), by=command_actor())
    click.echo(f"The key {key.id} ({key.name}) and the visitor tokens issued with it are revoked.")


def _print_key(new: NewKey) -> None:
    # Only the key goes to standard output, so that it can be piped.
    click.echo(new.text)
    click.echo(
        f"This is the key {new.key.id} of {new.key.tenant} for {','.join(sorted(new.key.scopes))}. It is not shown"
        " again. Store it as a secret of the server\nthat calls Gatehouse, for example as GATEHOUSE_KEY, and never in a"
        " page. Send it as `Authorization: Bearer $GATEHOUSE_KEY`.",
        err=True,
    )


def _describe_state(key: ApiKey, now: float) -> str:
    state = key.state(now)
    return f"replaced, until {format_minute(key.expires_at)}" if state == "replaced" and key.expires_at else state
