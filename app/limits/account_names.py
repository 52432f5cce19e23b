"""The names of accounts, for which limits count. No other file builds or parses such a name."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

from app.config.formats import TENANT

AccountKind = Literal["user", "tenant", "address"]
OwnerKind = Literal["key", "visitor", "session", "anonymous", "admin"]
OwnKind = Literal["tenant", "key", "user"]
"""The kinds of accounts that can have their own limits instead of those of the settings."""

ANONYMOUS = "anonymous"

_USER = re.compile(r"[!-+\--~]{1,200}")
_KEY = re.compile(r"[A-Za-z0-9]{8}")


class AccountOwner(Protocol):
    """The part of a request's principal that limits need."""

    @property
    def kind(self) -> OwnerKind:
        """How the caller authenticated."""

    @property
    def is_named(self) -> bool:
        """Whether a credential identifies the user."""

    @property
    def tenant(self) -> str:
        """The tenant that the user belongs to."""

    @property
    def user(self) -> str:
        """The user, unique within the tenant."""

    @property
    def token_id(self) -> str | None:
        """The id of the request's visitor token, if any."""

    @property
    def key_id(self) -> str | None:
        """The id of the request's key, or of the key that issued its visitor token."""

    @property
    def budget_micro_usd(self) -> int | None:
        """The budget of that token, if it has one."""


NAMES: dict[AccountKind, Callable[[AccountOwner, str], str]] = {
    "user": lambda owner, _: f"user:{owner.tenant}/{owner.user}",
    "tenant": lambda owner, _: f"tenant:{owner.tenant}",
    "address": lambda _, address: f"address:{address}",
}
"""Functions that build the name of an account from its owner and the request's network address."""


def list_own_names(owner: AccountOwner) -> list[str]:
    """Return the names of an owner's accounts that can have their own limits."""
    names = [f"user:{owner.tenant}/{owner.user}", f"tenant:{owner.tenant}"]
    if owner.key_id is not None:
        names.append(f"key:{owner.key_id}")
    return names


def name_token(token_id: str | None) -> str:
    """Return the account of a visitor token."""
    return f"token:{token_id}"


def name_network(network: str) -> str:
    """Return the account of a wider network."""
    return f"address:{network}"


def name_user_of_network(tenant: str, network: str) -> str:
    """Return the account of all unnamed users of a wider network."""
    return f"user:{tenant}/address:{network}"


def name_usage_view(account: str) -> str:
    """Return the name under which an account's views of the usage page are counted, apart from its API requests."""
    return f"look:{account}"


def parse_account_kind(account: str) -> str:
    """Return the kind of account in its name: user, tenant, address, token, key or anonymous."""
    return account.partition(":")[0]


class InvalidAccount(ValueError):
    """The account's name is not valid. The message is a sentence."""


@dataclass(frozen=True, slots=True)
class AccountName:
    """An account that can have its own limits.

    Attributes:
        kind: tenant, key or user.
        tenant: the tenant that it belongs to.
        id: the id of the tenant, of the key, or of the user within its tenant.
    """

    kind: OwnKind
    tenant: str
    id: str

    @classmethod
    def check(cls, kind: str, tenant: str, name: str) -> AccountName:
        """Check the parts of a name, and return the account.

        Raises:
            InvalidAccount: one of the parts is not valid.
        """
        if kind not in get_args(OwnKind):
            raise InvalidAccount(f"The kind of an account must be one of {', '.join(get_args(OwnKind))}.")
        if not TENANT.fullmatch(tenant):
            raise InvalidAccount("A tenant must be 1 to 64 letters, digits, dots, underscores or hyphens.")
        if kind == "tenant" and name != tenant:
            raise InvalidAccount("A tenant cannot belong to another tenant.")
        if kind == "key" and not _KEY.fullmatch(name):
            raise InvalidAccount("The id of a key must be 8 letters or digits; `flask keys list` shows it.")
        if kind == "user" and not _USER.fullmatch(name):
            raise InvalidAccount("A user must be 1 to 200 visible ASCII characters without a comma.")
        return cls(kind, tenant, name)  # type: ignore[arg-type]

    @classmethod
    def parse(cls, text: str, tenant: str) -> AccountName:
        """Return the account with this name, which is not checked."""
        kind, _, rest = text.partition(":")
        return cls(kind, tenant, rest.partition("/")[2] if kind == "user" else rest)  # type: ignore[arg-type]

    @property
    def text(self) -> str:
        """The account's name in the ledger, such as user:acme/42."""
        return f"user:{self.tenant}/{self.id}" if self.kind == "user" else f"{self.kind}:{self.id}"
