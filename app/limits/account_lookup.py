"""Find the account that somebody names who wants to see or change its limits."""

from __future__ import annotations

from app.auth.keys import ApiKeys, parse_key_id
from app.auth.principal import DEFAULT_TENANT
from app.limits.account_names import AccountName, InvalidAccount


class UnknownKey(InvalidAccount):
    """There is no such key."""


def find_account(keys: ApiKeys, kind: str, name: str, *, tenant: str | None) -> AccountName:
    """Return an account that can have limits of its own. A user need not have sent anything yet, a key must exist.

    Args:
        keys: where a key's tenant is found.
        kind: tenant, key or user.
        name: of the tenant, the user, or the key: its id, or what begins with `gh_` and the id.
        tenant: of the user, the default one if None; where it is given, a key of another one is not found.

    Raises:
        UnknownKey: there is no such key.
        InvalidAccount: there can be no such account.
        DatabaseUnavailable: the keys cannot be read.
    """
    if kind == "tenant":
        return AccountName.check(kind, tenant or name, name)
    if kind == "user":
        return AccountName.check(kind, DEFAULT_TENANT if tenant is None else tenant, name)
    account = AccountName.check(kind, tenant or DEFAULT_TENANT, parse_key_id(name))
    key = keys.find(account.id)
    if key is None or tenant not in (None, key.tenant):
        raise UnknownKey(f"There is no key {account.id!r}; `flask keys list` shows the ids.")
    return AccountName("key", key.tenant, key.id)
