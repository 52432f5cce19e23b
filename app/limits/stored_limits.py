"""Keep the limits of single accounts in the database, with a copy in each process that is at most a second old.

A request reads the copy: no statement of its own. Once a second one request asks the database for the version of the
limits, and if that has changed, for the limits that have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, or_, select, text

from app.auth.audit.actors import Actor
from app.auth.audit.trail import record
from app.auth.keys import ApiKeys, NewKey
from app.database.database import Database, DatabaseUnavailable
from app.ledger.records import Limit
from app.ledger.reports import Reports
from app.limits.account_names import AccountName
from app.limits.own_limits import LIMIT_NAMES, OwnLimits
from app.limits.tables import account_limits, limit_versions
from app.runtime import clock
from app.runtime.periods import Window, get_days, get_period

LOOK_EVERY_S = 1.0
"""How old the copy of a process may be."""

_LOOK_S = 0.5
# Built once, since building a query takes longer than running it.
_VERSION = select(limit_versions.c.version)
_CHANGED = select(account_limits).where(account_limits.c.version > bindparam("version"))
_HAS_SOME = or_(*(account_limits.c[name].is_not(None) for name in LIMIT_NAMES))
_COUNT_UP = text(
    "INSERT INTO limit_versions (name, version) VALUES ('limits', 1)"
    " ON CONFLICT (name) DO UPDATE SET version = limit_versions.version + 1"
)
_PUT = text(
    f"INSERT INTO account_limits (account, tenant, version, {', '.join(LIMIT_NAMES)})"  # noqa: S608 - constants
    f" VALUES (:account, :tenant, :version, {', '.join(f':{name}' for name in LIMIT_NAMES)})"
    " ON CONFLICT (account) DO UPDATE SET"
    f" {', '.join(f'{name} = excluded.{name}' for name in ('tenant', 'version', *LIMIT_NAMES))}"
)
# What an account has spent before it had a budget, if it was not counted for another one then.
_CATCH_UP = text(
    "INSERT INTO accounts (key, period, spent_micro_usd, spent_tokens) VALUES (:key, :period, :micro_usd, :tokens)"
    " ON CONFLICT (key, period) DO UPDATE SET"
    " spent_micro_usd = CASE WHEN accounts.spent_micro_usd < excluded.spent_micro_usd"
    " THEN excluded.spent_micro_usd ELSE accounts.spent_micro_usd END,"
    " spent_tokens = CASE WHEN accounts.spent_tokens < excluded.spent_tokens"
    " THEN excluded.spent_tokens ELSE accounts.spent_tokens END"
)


@dataclass(frozen=True, slots=True)
class StoredLimit:
    """An account that has limits of its own, and these."""

    account: AccountName
    limits: OwnLimits


class StoredLimits:
    """Reads and changes the limits of single accounts. What changes them raises DatabaseUnavailable, what reads too."""

    def __init__(self, database: Database, reports: Reports, window: Window) -> None:
        """Make it. `window` is that of all budgets."""
        self._database = database
        self._reports = reports
        self._window = window
        self._copy: dict[str, OwnLimits] = {}
        self._version = 0
        self._look_at = float("-inf")

    def current(self) -> Mapping[str, OwnLimits]:
        """Return the limits of all accounts that have some, by account, as they were at most a second ago.

        While the database does not answer they stay as they were.
        """
        at = clock.ticks()
        if at >= self._look_at:
            self._look_at = at + LOOK_EVERY_S  # first, so that no other request looks too
            with suppress(DatabaseUnavailable):
                self.refresh()
        return self._copy

    def refresh(self) -> None:
        """Bring the copy up to date."""
        with self._database.read_transaction(_LOOK_S) as connection:
            version = connection.execute(_VERSION).scalar() or 0
            if version == self._version:
                return
            is_older = version < self._version  # a backup was restored
            since = 0 if is_older else self._version
            rows = connection.execute(_CHANGED, {"version": since}).mappings().all()
        copy = {} if is_older else dict(self._copy)
        for row in rows:
            copy[row["account"]] = _read_limits(row)
        self._copy = {account: limits for account, limits in copy.items() if limits}
        self._version = version

    def list_all(
        self, tenant: str | None = None, *, after: str = "", most: int | None = None
    ) -> list[StoredLimit]:
        """Return the accounts that have limits of their own, ordered by name.

        Args:
            tenant: only those of this tenant.
            after: only those after the account of this name.
            most: at most so many.
        """
        query = select(account_limits).where(_HAS_SOME).order_by(account_limits.c.account).limit(most)
        if after:
            query = query.where(account_limits.c.account > after)
        if tenant is not None:
            query = query.where(account_limits.c.tenant == tenant)
        with self._database.read_transaction() as connection:
            rows = connection.execute(query).mappings().all()
        return [StoredLimit(AccountName.parse(row["account"], row["tenant"]), _read_limits(row)) for row in rows]

    def get(self, account: AccountName) -> OwnLimits:
        """Return the limits that an account has of its own."""
        with self._database.read_transaction() as connection:
            return _get(connection, account)

    def set(self, account: AccountName, limits: OwnLimits, *, by: Actor) -> None:
        """Replace all limits that an account has of its own.

        A first budget counts what the user or tenant has spent in this period before it. What a key has spent is
        counted from its first budget on.
        """
        self._set(account, limits, self._find_spent(account) if limits.has_budget else None, by=by)

    def clear(self, account: AccountName, *, by: Actor) -> None:
        """Give an account the limits of the settings again."""
        self.set(account, OwnLimits(), by=by)

    def rotate_key(self, keys: ApiKeys, key_id: str, *, grace_s: int, by: Actor) -> NewKey:
        """Replace a key by a new one with the same limits, which has spent what the old one has.

        While both are valid, each has for itself what is left.

        Raises:
            InvalidKeyRequest: there is no such key, or it is not active.
        """
        new = keys.rotate(key_id, grace_s=grace_s, by=by)
        old, replacing = (AccountName("key", new.key.tenant, each) for each in (key_id, new.key.id))
        if limits := self.get(old):
            # Nobody knows the new key yet, so it cannot be used without its limits.
            spent = self._reports.remaining([Limit(old.text, self._window)])[0]
            self._set(
                replacing, limits, self._catch_up(replacing, spent.spent_micro_usd, spent.spent_tokens), by=by
            )
        return new

    def _set(self, account: AccountName, limits: OwnLimits, spent: dict[str, Any] | None, *, by: Actor) -> None:
        with self._database.transaction() as connection:
            before = _get(connection, account)
            connection.execute(_COUNT_UP)  # and not RETURNING, which needs SQLite 3.35
            version = connection.execute(_VERSION).scalar_one()
            values = {"account": account.text, "tenant": account.tenant, "version": version}
            connection.execute(_PUT, values | limits.to_texts())
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
        self._look_at = float("-inf")  # this process knows at once

    def _find_spent(self, account: AccountName) -> dict[str, Any] | None:
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

    def _catch_up(self, account: AccountName, micro_usd: int, tokens: int) -> dict[str, Any]:
        period = get_period(self._window, clock.now_ms())
        return {"key": account.text, "period": period, "micro_usd": micro_usd, "tokens": tokens}


def _get(connection: Connection, account: AccountName) -> OwnLimits:
    query = select(account_limits).where(account_limits.c.account == account.text)
    row = connection.execute(query).mappings().one_or_none()
    return OwnLimits() if row is None else _read_limits(row)


def _read_limits(row: RowMapping) -> OwnLimits:
    return OwnLimits.parse({name: row[name] for name in LIMIT_NAMES})


def _describe_change(
    before: Mapping[str, str | None], after: Mapping[str, str | None]
) -> dict[str, Sequence[str | None]]:
    """Return [old, new] of each limit that has changed."""
    return {name: [before[name], after[name]] for name in after if before[name] != after[name]}
