"""StoredLimits: stores the limits of single accounts in the database, with a copy in each process that is refreshed each second.

Requests read the copy, without a database statement. Once a second one request reads the version of the limits, and if it
has changed, the changed limits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from app.auth.audit.actors import Actor
from app.auth.audit.trail import record
from app.auth.keys import ApiKeys, NewKey
from app.billing.ledger.records import Limit
from app.billing.ledger.reports import Reports
from app.limits.account_names import AccountName
from app.limits.own_limits import LIMIT_NAMES, OwnLimits
from app.runtime import clock
from app.runtime.periods import Window, get_days, get_period
from app.storage.database.connections.connection import Connection
from app.storage.database.connections.sql import Where, write_upsert
from app.storage.database.database import Database, DatabaseUnavailable

REFRESH_INTERVAL_S = 1.0
"""The maximum age of a process's copy."""

_REFRESH_TIMEOUT_S = 0.5
_ALL = 2**62
_VERSION = "SELECT version FROM limit_versions"
_CHANGED = "SELECT * FROM account_limits WHERE version > ?"
_HAS_SOME = f"({' OR '.join(f'{name} IS NOT NULL' for name in LIMIT_NAMES)})"
_COUNT_UP = """
INSERT INTO limit_versions (name, version) VALUES ('limits', 1)
ON CONFLICT (name) DO UPDATE SET version = limit_versions.version + 1
"""
# Add what an account spent before it had a budget, unless its account in the ledger has counted it already.
_CATCH_UP = """
INSERT INTO accounts (key, period, spent_micro_usd, spent_tokens) VALUES (?, ?, ?, ?)
ON CONFLICT (key, period) DO UPDATE SET
    spent_micro_usd = CASE WHEN accounts.spent_micro_usd < excluded.spent_micro_usd
    THEN excluded.spent_micro_usd ELSE accounts.spent_micro_usd END,
    spent_tokens = CASE WHEN accounts.spent_tokens < excluded.spent_tokens
    THEN excluded.spent_tokens ELSE accounts.spent_tokens END
"""


@dataclass(frozen=True, slots=True)
class StoredLimit:
    """An account and its own limits."""

    account: AccountName
    limits: OwnLimits


class StoredLimits:
    """Reads and changes the limits of single accounts. All methods except `current()` may raise DatabaseUnavailable."""

    def __init__(self, database: Database, reports: Reports, window: Window) -> None:
        """Create it with the window of all budgets."""
        self._database = database
        self._reports = reports
        self._window = window
        self._copy: dict[str, OwnLimits] = {}
        self._version = 0
        self._refresh_at = float("-inf")

    def current(self) -> Mapping[str, OwnLimits]:
        """Return the own limits of all accounts by account, at most a second old.

        While the database is unavailable, the last known limits apply.
        """
        at = clock.ticks()
        if at >= self._refresh_at:
            self._refresh_at = at + REFRESH_INTERVAL_S  # set first, so that no other request refreshes as well
            with suppress(DatabaseUnavailable):
                self.refresh()
        return self._copy

    def refresh(self) -> None:
        """Update the copy from the database."""
        with self._database.read_transaction(_REFRESH_TIMEOUT_S) as connection:
            version = connection.fetch_value(_VERSION) or 0
            if version == self._version:
                return
            is_older = version < self._version  # a backup was restored
            since = 0 if is_older else self._version
            rows = connection.fetch_rows(_CHANGED, (since,))
        copy = {} if is_older else dict(self._copy)
        for row in rows:
            copy[row["account"]] = _read_limits(row)
        self._copy = {account: limits for account, limits in copy.items() if limits}
        self._version = version

    def list_all(
        self, tenant: str | None = None, *, after: str = "", max_count: int | None = None
    ) -> list[StoredLimit]:
        """Return the accounts that have their own limits, ordered by name.

        Args:
            tenant: only accounts of this tenant.
            after: only accounts after the one with this name.
            max_count: the maximum number of accounts.
        """
        where = Where({"tenant": tenant})
        where.add(_HAS_SOME)
        if after:
            where.add("account > ?", after)
        query = f"SELECT * FROM account_limits {where} ORDER BY account LIMIT ?"  # noqa: S608 - its values are bound
        with self._database.read_transaction() as connection:
            rows = connection.fetch_rows(query, (*where.values, _ALL if max_count is None else max_count))
        return [StoredLimit(AccountName.parse(row["account"], row["tenant"]), _read_limits(row)) for row in rows]

    def get(self, account: AccountName) -> OwnLimits:
        """Return an account's own limits."""
        with self._database.read_transaction() as connection:
            return _get(connection, account)

    def set(self, account: AccountName, limits: OwnLimits, *, by: Actor) -> None:
        """Replace all of an account's own limits.

        The first budget of a user or tenant includes what they spent earlier in this period. For a key, spending counts
        only from its first budget on.
        """
        self._set(account, limits, self._find_spent(account) if limits.has_budget else None, by=by)

    def clear(self, account: AccountName, *, by: Actor) -> None:
        """Remove an account's own limits, so that those of the settings apply."""
        self.set(account, OwnLimits(), by=by)

    def rotate_key(self, keys: ApiKeys, key_id: str, *, grace_s: int, by: Actor) -> NewKey:
        """Replace a key with a new one that has the same limits and the same spending.

        While both keys are valid, each can spend the remaining budget separately.

        Raises:
            InvalidKeyRequest: the key does not exist, or is not active.
        """
        new = keys.rotate(key_id, grace_s=grace_s, by=by)
        old, replacing = (AccountName("key", new.key.tenant, each) for each in (key_id, new.key.id))
        if limits := self.get(old):
            # The new key has not been returned yet, so it cannot be used before it has its limits.
            spent = self._reports.remaining([Limit(old.text, self._window)])[0]
            self._set(
                replacing, limits, self._catch_up(replacing, spent.spent_micro_usd, spent.spent_tokens), by=by
            )
        return new

    def _set(self, account: AccountName, limits: OwnLimits, spent: tuple[Any, ...] | None, *, by: Actor) -> None:
        with self._database.transaction() as connection:
            before = _get(connection, account)
            connection.execute(_COUNT_UP)  # without RETURNING, which needs SQLite 3.35
            version = connection.fetch_value(_VERSION)
            values = {"tenant": account.tenant, "version": version, **limits.to_texts()}
            connection.execute(*write_upsert("account_limits", {"account": account.text}, values))
            if spent is not None:
                connection.execute(_CATCH_UP, spent)
            record(
                connection,
                "limits.set" if limits else "limits.clear",
                account.text,
                by=by,
                tenant=account.tenant,
                details=_describe_change(before.to_texts(), limits.to_texts()),
            )
        self._refresh_at = float("-inf")  # this process refreshes its copy at once

    def _find_spent(self, account: AccountName) -> tuple[Any, ...] | None:
        if account.kind == "key":
            return None
        first_day, last_day = get_days(self._window, clock.now_ms())
        (total,) = self._reports.totals(
            tenant=account.tenant,
            user=account.id if account.kind == "user" else None,
            first_day=first_day,
            last_day=last_day,
        )
        return self._catch_up(account, total.cost_micro_usd, total.tokens)

    def _catch_up(self, account: AccountName, micro_usd: int, tokens: int) -> tuple[Any, ...]:
        return account.text, get_period(self._window, clock.now_ms()), micro_usd, tokens


def _get(connection: Connection, account: AccountName) -> OwnLimits:
    row = connection.fetch_row("SELECT * FROM account_limits WHERE account = ?", (account.text,))
    return OwnLimits() if row is None else _read_limits(row)


def _read_limits(row: Mapping[str, Any]) -> OwnLimits:
    return OwnLimits.parse({name: row[name] for name in LIMIT_NAMES})


def _describe_change(
    before: Mapping[str, str | None], after: Mapping[str, str | None]
) -> dict[str, Sequence[str | None]]:
    """Return [old, new] for each changed limit."""
    return {name: [before[name], after[name]] for name in after if before[name] != after[name]}
