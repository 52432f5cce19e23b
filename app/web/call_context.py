"""BilledContext: who sends the current request, as the service needs to know, and the meter that bills the call."""

from __future__ import annotations

from dataclasses import dataclass

from flask import g, has_request_context, request

from app.auth.address import client_address
from app.auth.principal import Principal
from app.ledger.records import NewEntry
from app.limits.meter import Meter
from app.limits.token_rate_limit import TokenRateLimit
from app.openai_service import CallRecord, PendingRequest
from app.services import services
from app.web.client_connection import ClientConnection

# How long after its deadline a call that was never settled counts as dead: longer than a last write to a visitor
# who does not read may take (server/gevent_worker.py).
_LEASE_GRACE_S = 40.0


@dataclass(frozen=True, slots=True)
class BilledContext:
    """A visitor whose calls are in the ledger."""

    connection: ClientConnection
    meter: Meter
    max_tokens: int | None
    tenant: str

    def check(self) -> None:
        """Raise what ends the call: the visitor has left, or the server stops."""
        self.connection.check()

    def reserve_attempt(self, model: str, request: PendingRequest) -> None:
        """Hold what an attempt may cost."""
        self.meter.reserve_attempt(model, request)

    def reserve_nothing(self, model: str) -> None:
        """Make an entry of a call that costs nothing."""
        self.meter.reserve_nothing(model)


def billed_context() -> BilledContext:
    """Return the sender of the current request."""
    # Each look through a proxy costs five calls.
    context, current = g._get_current_object(), request._get_current_object()  # type: ignore[attr-defined]
    built, principal, address = services(), context.principal, client_address(current)
    limits = built.limits
    context.token_rates = token_rates = TokenRateLimit(built.rate_limiter, limits.token_rates(principal, address))
    meter = Meter(
        built.ledger,
        built.prices,
        _entry(principal, context.request_id, current.path, operation=str(current.blueprint).rpartition(".")[2]),
        limits.spending(principal, address),
        token_rates,
        lease_s=built.config.request_timeout_s + _LEASE_GRACE_S,
    )
    visitor = ClientConnection(current.environ.get("gunicorn.socket"), built.lifecycle)
    return BilledContext(visitor, meter, principal.max_tokens, principal.tenant)


def build_entry(operation: str, model: str) -> NewEntry:
    """Return the current request's entry for the ledger."""
    return _entry(g.principal, g.request_id, request.path, operation=operation, model=model)


def _entry(principal: Principal, request_id: str, route: str, *, operation: str, model: str = "") -> NewEntry:
    return NewEntry(request_id, principal.tenant, principal.user, principal.token_id, route, operation, model)


def settle_call(record: CallRecord) -> None:
    """Settle a call that has ended: a listener of the service's."""
    if isinstance(record.caller, BilledContext):
        record.caller.meter.settle(record)
        if has_request_context():
            g.call_record = record
