"""MeteredCaller: who sends the current request, as the service needs to know, and the meter that bills the call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import g, has_request_context, request

from app.auth.address import address_of
from app.auth.principal import Principal
from app.ledger.records import NewEntry
from app.metering import Meter
from app.openai_service import CallRecord
from app.openai_service.errors import UpstreamError
from app.services import services
from app.token_rates import TokenRates
from app.visitor import Visitor, current_visitor

# How long after its deadline a call that was never settled counts as dead: longer than a last write to a visitor
# who does not read may take (server/gevent_worker.py).
_LEASE_GRACE_S = 40.0


@dataclass(frozen=True, slots=True)
class MeteredCaller:
    """A visitor whose calls are in the ledger."""

    visitor: Visitor
    meter: Meter
    max_tokens: int | None
    tenant: str

    def watch(self) -> None:
        self.visitor.watch()

    def charge(self, model: str, body: Mapping[str, Any], after: UpstreamError | None, record: CallRecord) -> None:
        self.meter.charge(model, body, after, record)

    def charge_nothing(self, model: str) -> None:
        self.meter.charge_nothing(model)


def current_entry(operation: str, model: str) -> NewEntry:
    """Return the current request's entry for the ledger."""
    principal: Principal = g.principal
    return NewEntry(
        request_id=g.request_id,
        tenant=principal.tenant,
        user=principal.user,
        token_id=principal.token_id,
        route=request.path,
        operation=operation,
        model=model,
    )


def current_caller() -> MeteredCaller:
    """Return the sender of the current request."""
    built, principal, address = services(), g.principal, address_of(request)
    limits = built.limits
    g.token_rates = token_rates = TokenRates(built.rate_limiter, limits.token_rates(principal, address))
    meter = Meter(
        built.ledger,
        built.prices,
        current_entry(str(request.blueprint).rpartition(".")[2], ""),
        limits.spending(principal, address),
        token_rates,
        lease_s=built.config.request_timeout_s + _LEASE_GRACE_S,
    )
    return MeteredCaller(current_visitor(), meter, principal.max_tokens, principal.tenant)


def settle_call(record: CallRecord) -> None:
    """Settle a call that has ended: a listener of the service's."""
    if isinstance(record.caller, MeteredCaller):
        record.caller.meter.settle(record)
        if has_request_context():
            g.call_record = record
