"""Say which rows of which table are no longer kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Table, exists

from app.auth.audit.tables import audit_trail
from app.auth.tables import SESSIONS_KEEP_DAYS, admin_sessions, revoked_tokens, revoked_users
from app.batches.tables import batches
from app.config import Config
from app.ledger.tables import accounts, entries, outbox
from app.runtime.periods import DAY_MS, get_day, get_start_ms
from app.safety.tables import safety_events

# Budgets are of days and months: an account of an earlier one is read by nobody. Running requests settle in it yet.
_ACCOUNTS_KEEP_DAYS = 62


@dataclass(frozen=True, slots=True)
class Rule:
    """Which rows of a table are deleted."""

    table: Table
    condition: ColumnElement[bool]


def list_rules(config: Config, now_ms: int) -> Iterator[Rule]:
    """Yield the rule of each table that has rows to delete. A day is kept as a whole, in UTC."""
    yield Rule(revoked_tokens, revoked_tokens.c.expires_at < now_ms // 1000)
    yield Rule(revoked_users, revoked_users.c.expires_at < now_ms // 1000)
    yield Rule(admin_sessions, admin_sessions.c.expires_at < (now_ms - SESSIONS_KEEP_DAYS * DAY_MS) // 1000)
    is_free = (accounts.c.held_micro_usd == 0) & (accounts.c.held_tokens == 0)
    yield Rule(accounts, is_free & (accounts.c.period < get_day(now_ms - _ACCOUNTS_KEEP_DAYS * DAY_MS)))
    if config.entries_keep_days:
        since = _get_first_ms(now_ms, config.entries_keep_days)
        is_told = ~exists().where(outbox.c.entry_id == entries.c.id)
        # The id begins with the time.
        yield Rule(entries, (entries.c.id < f"{since:012x}") & (entries.c.state == "settled") & is_told)
        yield Rule(batches, batches.c.ended_at < since)
    if config.audit_keep_days:
        yield Rule(audit_trail, audit_trail.c.id < f"{_get_first_ms(now_ms, config.audit_keep_days):012x}")
    if config.safety_events_keep_days:
        yield Rule(
            safety_events, safety_events.c.received_at < _get_first_ms(now_ms, config.safety_events_keep_days)
        )


def _get_first_ms(now_ms: int, days: int) -> int:
    """Return the first millisecond that is kept."""
    return get_start_ms(get_day(now_ms - days * DAY_MS))
