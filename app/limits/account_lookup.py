"""Finds an account by its name, to show or change its limits."""

from __future__ import annotations

from app.auth.keys import ApiKeys, parse_key_id
from app.auth.principal import DEFAULT_TENANT
from app.limits.account_names import AccountName, InvalidAccount


class UnknownKey(InvalidAccount):
    """The key does not exist."""


def find_account(keys: ApiKeys, kind: str, name: str, *, tenant: str | None) -> AccountName:
    """Return an account that can have its own limits. A key must exist; a user need not have sent a request yet.

    Args:
        keys: the keys, to find a key's tenant.
        kind: tenant, key or user.
        name: the name of the tenant or the user, or a key's id, or a text that begins with `gh_` and the id.
        tenant: the user's tenant, or None for the default one. If it is set, keys of other tenants are not found.

    Raises:
        UnknownKey: the key does not exist.
        InvalidAccount: the name is not valid.
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
