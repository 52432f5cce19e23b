"""Handle the upstream's reports about users, which arrive by webhook."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from app.auth.visitor_tokens import VisitorTokens
from app.billing.ledger.reports import Reports
from app.runtime import clock
from app.runtime.turns import in_turns
from app.safety.pseudonyms import Pseudonyms
from app.safety.reported_users import ReportedUsers
from app.storage.database.connections.sql import Where, name_columns, write_insert
from app.storage.database.database import Database

log = logging.getLogger(__name__)

_IDENTIFIER = re.compile(r"[0-9a-f]{64}")
_WORD = re.compile(r"[A-Za-z0-9_.:/-]{1,100}")
# Users without tokens: addresses, and keys whose visitors are one user to the upstream.
_UNNAMED = ("address:", "key:", "session:")
_RECENT_DAYS = 2
_MAX_SHOWN = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetyEvent:
    """A report. The tenant and the user are None if the ledger has no user with the reported identifier."""

    webhook_id: str
    received_at: int
    kind: str
    tenant: str | None
    user_id: str | None
    category: str | None
    case_id: str | None
    action: str


_COLUMNS = name_columns(SafetyEvent)


class SafetyEvents:
    """Handles and lists reports. Every method raises DatabaseUnavailable if the database does not answer."""

    def __init__(
        self,
        database: Database,
        pseudonyms: Pseudonyms,
        tokens: VisitorTokens,
        reports: Reports,
        reported_users: ReportedUsers,
    ) -> None:
        self._database = database
        self._pseudonyms = pseudonyms
        self._tokens = tokens
        self._reports = reports
        self._reported_users = reported_users

    def handle(self, webhook_id: str, kind: str, data: Mapping[str, Any]) -> None:
        """Find the user of a report, revoke their tokens, end their running calls, and store the report."""
        identifier = data.get("safety_identifier") or data.get("entity_identifier")
        user = self._find_user(identifier) if isinstance(identifier, str) else None
        action = "noted"
        if user is not None and not user[1].startswith(_UNNAMED):
            self._tokens.revoke_all(user[1], tenant=user[0])
            self._reported_users.add(f"{user[0]}/{user[1]}")
            action = "tokens_revoked"
        event = SafetyEvent(
            webhook_id=webhook_id,
            received_at=clock.now_ms(),
            kind=kind,
            tenant=user and user[0],
            user_id=user and user[1],
            category=_read_word(data, "safety_category"),
            case_id=_read_word(data, "case_id") or _read_word(data, "id"),
            action=action,
        )
        insert, row = write_insert("safety_events", _get_values(event))
        with self._database.transaction() as connection:
            connection.execute(f"{insert} ON CONFLICT DO NOTHING", row)  # another process may have stored it
        self._log(event)

    def _log(self, event: SafetyEvent) -> None:
        """Log a report with the user's pseudonym. `flask usage` and the API's usage show the user's id."""
        tenant, user = event.tenant, event.user_id
        fields = {
            "webhook_id": event.webhook_id,
            "kind": event.kind,
            "tenant": tenant,
            "user": None if tenant is None or user is None else self._pseudonyms.name_in_log(tenant, user),
            "category": event.category,
            "case_id": event.case_id,
            "action": event.action,
            "hint": _choose_hint(event),
        }
        log.warning("safety.reported", extra={name: value for name, value in fields.items() if value is not None})

    def list_all(self, *, tenant: str | None, first_day: str, last_day: str) -> Sequence[SafetyEvent]:
        """Return the reports of the days from first to last, the oldest first.

        Without a tenant, these are the reports of all tenants, and those without a known user.
        """
        where = Where({"tenant": tenant})
        where.add("received_at >= ? AND received_at < ?", _to_ms(first_day), _to_ms(last_day, days_more=1))
        query = f"SELECT {_COLUMNS} FROM safety_events {where} ORDER BY received_at LIMIT ?"  # noqa: S608 - its values are bound
        with self._database.read_transaction() as connection:
            return [SafetyEvent(**row) for row in connection.fetch_rows(query, (*where.values, _MAX_SHOWN))]

    def _find_user(self, identifier: str) -> tuple[str, str] | None:
        """Return the tenant and user in the ledger with this identifier. Its latest days are searched first."""
        if not _IDENTIFIER.fullmatch(identifier):
            return None
        since = datetime.fromtimestamp(clock.now(), UTC) - timedelta(days=_RECENT_DAYS)
        for first_day in (since.date().isoformat(), None):
            for total in in_turns(self._reports.totals(("tenant", "user"), first_day=first_day)):
                tenant, user = total.group
                if self._pseudonyms.is_of(identifier, tenant, user):
                    return tenant, user
        return None


def _choose_hint(event: SafetyEvent) -> str:
    if event.action == "tokens_revoked":
        return (
            "the user's tokens are revoked; issue no new ones, do not send this user in X-User-Id, and block the "
            "user at your identity provider"
        )
    if event.user_id is None and event.case_id is not None:
        return "see the case in OpenAI's dashboard, or at GET /v1/safety/cases/ of OpenAI's API"
    if event.user_id is not None and event.user_id.startswith("key:"):
        return "this key's requests have no user id: send X-User-Id, so that OpenAI can distinguish your visitors"
    return "nothing was revoked, as no user with tokens has this identifier"


def _read_word(data: Mapping[str, Any], name: str) -> str | None:
    value = data.get(name)
    return value if isinstance(value, str) and _WORD.fullmatch(value) else None


def _get_values(event: SafetyEvent) -> dict[str, Any]:
    return {name: getattr(event, name) for name in SafetyEvent.__slots__}


def _to_ms(day: str, *, days_more: int = 0) -> int:
    at = datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(days=days_more)
    return int(at.timestamp() * 1000)
