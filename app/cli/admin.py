"""`flask admin`: open the pages of administration, end their sessions, and show who changed what."""

from __future__ import annotations

from dataclasses import asdict
from urllib.parse import quote, urlsplit

import click
import orjson
from flask.cli import with_appcontext

from app.auth.errors import AuthUnavailable
from app.auth.page_sessions.admin import SESSION_S
from app.auth.page_sessions.links import InvalidName
from app.cli.actor import command_actor, user_name
from app.cli.errors import report_errors
from app.cli.table import print_table
from app.config import Config
from app.config.formats import is_url
from app.runtime.times import format_minute
from app.services import services

_SIGN_IN = "/admin/sign-in"


@click.group(short_help="Open /admin, end its sessions, show who changed what.")
def admin() -> None:
    """Open the pages of administration, end their sessions, and show who changed what."""


@admin.command("login-url")
@click.option(
    "--name", help="Name of the administrator in the audit trail. By default the user who runs this command."
)
@click.option("--url", help="URL of this server without a path, such as https://ai.example.com.")
@click.option(
    "--minutes", default=10, show_default=True, type=click.IntRange(1, 60), help="How long the link is valid."
)
@with_appcontext
def login_url(name: str | None, url: str | None, minutes: int) -> None:
    """Print a link that opens /admin in a browser, once.

    The first browser that opens it is an administrator of all tenants, for eight hours or until it signs out.
    """
    built = services()
    base = _find_base(built.config, url)
    parts = urlsplit(base)
    if not built.own_hosts.has_name(parts.netloc, parts.scheme):
        raise click.ClickException(
            f"{parts.netloc} is not in TRUSTED_HOSTS, so its pages could not change anything. Add it, and restart the"
            " server."
        )
    with report_errors(AuthUnavailable, InvalidName):
        token = built.authenticator.admin_sessions.issue_link(
            name or user_name(), by=command_actor(), ttl_s=60 * minutes
        )
    # Only the link goes to standard output, so that it can be piped.
    click.echo(f"{base}{_SIGN_IN}?link={quote(token)}")
    click.echo(f"It works once, within {minutes} minutes; the session lasts {SESSION_S // 3600} hours.", err=True)


@admin.command("sessions")
@with_appcontext
def list_sessions() -> None:
    """List the open sessions."""
    with report_errors():
        running = services().authenticator.admin_sessions.list_running()
    if not running:
        click.echo("No session is open.")
        return
    print_table(
        ("NAME", "ADDRESS", "OPENED", "ENDS"),
        [
            (each.name, each.address, format_minute(each.created_at), format_minute(each.expires_at))
            for each in running
        ],
    )


@admin.command("end-sessions")
@with_appcontext
def end_sessions() -> None:
    """End all sessions at once, in all browsers."""
    with report_errors():
        ended = services().authenticator.admin_sessions.end_all(by=command_actor())
    click.echo(f"Ended sessions: {len(ended)}.")


@admin.command("audit", short_help="Show who changed what, the newest first.")
@click.option("--tenant", help="Only changes to this tenant.")
@click.option(
    "--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="Maximum number of rows."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@with_appcontext
def audit(tenant: str | None, limit: int, as_json: bool) -> None:
    """Show who changed keys, tokens, limits and sessions, by page, API or command, the newest first."""
    with report_errors():
        rows = services().audit.list_newest(limit, tenant=tenant)
    if as_json:
        click.echo(orjson.dumps([asdict(row) for row in rows], option=orjson.OPT_INDENT_2))
        return
    if not rows:
        click.echo("The audit trail is empty.")
        return
    print_table(
        ("AT", "WHO", "FROM", "WHAT", "OF", "DETAILS"),
        [
            (
                format_minute(row.at / 1000),
                row.actor,
                row.address or "-",
                row.action,
                row.target,
                orjson.dumps(row.details).decode() if row.details else "",
            )
            for row in rows
        ],
    )


def _find_base(config: Config, url: str | None) -> str:
    """Return the URL of this server without a path."""
    if url is not None:
        if not is_url(url):
            raise click.BadParameter("must be an http:// or https:// URL.", param_hint="--url")
        if url.rstrip("/").count("/") > 2 or "?" in url or "#" in url:
            raise click.BadParameter("must not have a path: the pages are at /admin.", param_hint="--url")
        return url.rstrip("/")
    if config.trusted_hosts:
        return f"https://{config.trusted_hosts[0]}"
    if config.is_production:
        raise click.ClickException(
            "Set TRUSTED_HOSTS to the host name of /admin, such as ai.example.com, and restart the server."
        )
    return f"http://127.0.0.1:{config.port}"
