"""`flask limits`: show and change the limits of a single tenant, key or user."""

from __future__ import annotations

from typing import Any

import click
import orjson
from flask.cli import with_appcontext

from app.cli.actor import command_actor
from app.cli.errors import report_errors
from app.cli.table import print_table
from app.limits.account_lookup import find_account
from app.limits.account_names import AccountName, InvalidAccount
from app.limits.own_limits import LIMIT_NAMES, InvalidLimit, OwnLimits
from app.limits.stored_limits import StoredLimit
from app.services import services

_DEFAULT = "default"
_KINDS = click.Choice(["tenant", "key", "user"])
_OPTIONS = {
    "request_rate": ("--requests", "Requests per window, such as 60/minute (or second, hour, day)."),
    "token_rate": ("--tokens", "Tokens per window, such as 100000/day."),
    "concurrent_streams": ("--streams", "Streams at the same time."),
    "budget_usd": ("--budget-usd", "Dollars in each BUDGET_WINDOW, such as 2.50."),
    "budget_tokens": ("--budget-tokens", "Tokens in each BUDGET_WINDOW."),
}

_tenant = click.option("--tenant", help="The tenant of the user; without it `default`.")
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


@click.group()
def limits() -> None:
    """Show and change the limits of a single tenant, key or user.

    A tenant or user without limits of its own has those of the settings: RATE_LIMIT, USER_BUDGET_USD and so on. The
    settings have none for keys. The limits of a key apply in addition, to all requests with the key or with visitor
    tokens that it issued. All workers apply a change within two seconds.
    """


@limits.command("list")
@click.option("--tenant", help="Only this tenant and its keys and users.")
@_json
@with_appcontext
def list_limits(tenant: str | None, as_json: bool) -> None:
    """List the tenants, keys and users that have limits of their own."""
    with report_errors():
        found = services().stored_limits.list_all(tenant)
    if as_json:
        click.echo(orjson.dumps([_to_json(each) for each in found], option=orjson.OPT_INDENT_2))
        return
    if not found:
        of = "" if tenant is None else f" of the tenant {tenant}"
        click.echo(f"No account{of} has limits of its own; those of the settings apply.")
        return
    print_table(
        ("KIND", "TENANT", "ID", "REQUESTS", "TOKENS", "STREAMS", "USD", "BUDGET TOKENS"),
        [(each.account.kind, each.account.tenant, each.account.id, *_format(each.limits)) for each in found],
    )


def _add_options(command: Any) -> Any:
    for name, (option, text) in reversed(_OPTIONS.items()):
        command = click.option(option, name, metavar="VALUE", help=text)(command)
    return command


@limits.command("set", short_help="Set limits of a tenant, a key or a user.")
@click.argument("kind", type=_KINDS)
@click.argument("name", metavar="ID")
@_tenant
@_add_options
@_json
@with_appcontext
def set_limits(kind: str, name: str, tenant: str | None, as_json: bool, **values: str | None) -> None:
    """Set limits of a tenant, a key or a user. Limits that are not given do not change.

    Special VALUEs: `none` for no limit, `0` to allow nothing, `default` for the limit of the settings.

    \b
    flask limits set user 42 --tenant acme --budget-usd 5 --requests 10/minute
    flask limits set tenant acme --budget-usd none
    flask limits set key AbCd1234 --requests 0
    """  # noqa: D301 - \b is click's
    given = {limit: text for limit, text in values.items() if text is not None}
    if not given:
        raise click.UsageError(f"Give at least one of {', '.join(option for option, _ in _OPTIONS.values())}.")
    built = services()
    with report_errors(InvalidAccount):
        account = _find(kind, name, tenant)
        texts = built.stored_limits.get(account).to_texts()
    texts |= {limit: None if text == _DEFAULT else text for limit, text in given.items()}
    try:
        wanted = OwnLimits.parse(texts)
    except InvalidLimit as error:
        raise click.BadParameter(str(error), param_hint=_OPTIONS[error.field][0]) from None
    with report_errors():
        built.stored_limits.set(account, wanted, by=command_actor())
    if as_json:
        click.echo(orjson.dumps(_to_json(StoredLimit(account, wanted)), option=orjson.OPT_INDENT_2))
        return
    shown = ", ".join(
        f"{option.removeprefix('--')} {text}"
        for (option, _), text in zip(_OPTIONS.values(), _format(wanted), strict=True)
        if text != "-"
    )
    click.echo(f"{_describe(account)} now has {shown or 'the limits of the settings'}.")


@limits.command("clear")
@click.argument("kind", type=_KINDS)
@click.argument("name", metavar="ID")
@_tenant
@_json
@with_appcontext
def clear_limits(kind: str, name: str, tenant: str | None, as_json: bool) -> None:
    """Remove the limits of a tenant, a key or a user; those of the settings apply again."""
    with report_errors(InvalidAccount):
        account = _find(kind, name, tenant)
        services().stored_limits.clear(account, by=command_actor())
    if as_json:
        click.echo(orjson.dumps(_to_json(StoredLimit(account, OwnLimits())), option=orjson.OPT_INDENT_2))
        return
    click.echo(f"{_describe(account)} now has the limits of the settings.")


def _find(kind: str, name: str, tenant: str | None) -> AccountName:
    return find_account(services().authenticator.keys, kind, name, tenant=tenant)


def _to_json(stored: StoredLimit) -> dict[str, Any]:
    account = stored.account
    return {"kind": account.kind, "tenant": account.tenant, "id": account.id, **stored.limits.to_texts()}


def _format(limits: OwnLimits) -> tuple[str, ...]:
    texts = limits.to_texts()
    return tuple(texts[name] or "-" for name in LIMIT_NAMES)


def _describe(account: AccountName) -> str:
    where = f" of {account.tenant}" if account.kind != "tenant" else ""
    return f"The {account.kind} {account.id}{where}"
