"""List which rows of which table are no longer retained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.auth.page_sessions.admin import SESSION_RETENTION_DAYS
from app.config import Config
from app.runtime.periods import DAY_MS, get_day, get_start_ms

# Budgets apply to a day or a month, so accounts of earlier periods are no longer read. But requests that still run
# settle in the account of the period in which they began.
_ACCOUNTS_KEEP_DAYS = 62


_HAS_NO_HOLDS = "held_micro_usd = 0 AND held_tokens = 0"
_IS_DELIVERED = "NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.entry_id = entries.id)"


@dataclass(frozen=True, slots=True)
class Rule:
    """The rows of a table to delete: those that meet a condition with one value."""

    table: str
    key: Sequence[str]
    condition: str
    value: str | int


def list_rules(config: Config, now_ms: int) -> Iterator[Rule]:
    """Yield the rule of each table that may have rows to delete. Limits in days mean whole days in UTC."""
    now_s = now_ms // 1000
    yield Rule("revoked_tokens", ("tenant", "token_id"), "expires_at < ?", now_s)
    yield Rule("revoked_users", ("tenant", "user_id"), "expires_at < ?", now_s)
    yield Rule("admin_sessions", ("id",), "expires_at < ?", (now_ms - SESSION_RETENTION_DAYS * DAY_MS) // 1000)
    first_period = get_day(now_ms - _ACCOUNTS_KEEP_DAYS * DAY_MS)
    yield Rule("accounts", ("key", "period"), f"{_HAS_NO_HOLDS} AND period < ?", first_period)
    if config.entries_keep_days:
        since = _get_first_ms(now_ms, config.entries_keep_days)
        # An id begins with the time.
        settled = f"id < ? AND state = 'settled' AND {_IS_DELIVERED}"
        yield Rule("entries", ("id",), settled, f"{since:012x}")
        yield Rule("batches", ("id",), "ended_at < ?", since)
    if config.audit_keep_days:
        yield Rule("audit_trail", ("id",), "id < ?", f"{_get_first_ms(now_ms, config.audit_keep_days):012x}")
    if config.safety_events_keep_days:
        since = _get_first_ms(now_ms, config.safety_events_keep_days)
        yield Rule("safety_events", ("webhook_id",), "received_at < ?", since)


def _get_first_ms(now_ms: int, days: int) -> int:
    """Return the first millisecond that is retained."""
    return get_start_ms(get_day(now_ms - days * DAY_MS))
