"""Build the CallContext of the current request: the client's connection, and the meter that bills its calls."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from flask import g, has_request_context, request

from app.auth.address import client_address
from app.auth.principal import Principal
from app.billing.ledger.records import NewEntry, Unpriced
from app.frozen import frozen
from app.limits.meter import Meter
from app.limits.token_rate_limit import TokenRateLimit
from app.observability.tracing.traceparent import parse_traceparent
from app.openai_service import Attempt, CallRecord, PendingRequest
from app.problems import Problem
from app.runtime import clock
from app.safety.pseudonyms import Pseudonym
from app.safety.reported_users import ReportedUsers
from app.services import services
from app.web.client_connection import ClientConnection, Connection
from app.web.request_id import current_request, current_state

if TYPE_CHECKING:
    from app.observability.tracing.spans import RequestTrace

# How long after its deadline an unsettled call is considered dead. It must exceed the longest final write to a client that
# does not read (server/workers/gevent_worker.py).
_LEASE_GRACE_S = 40.0


log = logging.getLogger(__name__)

_HINT_EVERY_S = 60.0
_hinted_at: dict[str, float] = {}


class PriceMissing(Problem):
    """A budget is in dollars, and the price of a model that the site configured is unknown: see `PRICES_FILE`."""

    status = 502
    code = "upstream_failed"
    sentence = "The model could not be reached or did not answer properly."


def _choose_price_problem(model: str, unpriced: Unpriced, *, is_fallback: bool = False) -> Problem:
    """Return the problem for a model without a price.

    It is PriceMissing, a fault of the site, if the model is a fallback or the default of an operation.
    """
    offered = services().config.models.offered
    if not is_fallback and all(model != models[0] for models in offered.values()):
        return unpriced  # the caller requested it
    _log_missing_price(model)
    return PriceMissing()


def _log_missing_price(model: str) -> None:
    """Log what the site's owner has to do, at most once a minute for each model."""
    now = clock.ticks()
    if now - _hinted_at.get(model, -_HINT_EVERY_S) >= _HINT_EVERY_S:
        _hinted_at[model] = now
        hint = "a budget in dollars does not allow a model without a price: add it to PRICES_FILE"
        log.error("price.missing", extra={"model": model, "hint": hint})


@frozen()
class BilledContext:
    """The CallContext of a request whose calls are billed in the ledger."""

    connection: Connection
    meter: Meter
    max_tokens: int | None
    tenant: str
    elapsed_s: float
    user: str
    pseudonym: Pseudonym
    sees_cache: bool
    begun: float
    reported_users: ReportedUsers
    tick_s: float = 0.0
    note_sent: Callable[[], None] | None = None
    trace: RequestTrace | None = None
    traceparent: str = ""

    def check(self) -> None:
        """Raise an error if the client has disconnected, the server must shut down now, or the user was reported."""
        self.connection.check()
        self.reported_users.check(self.user, time.perf_counter() - self.begun)

    def reserve_attempt(self, model: str, request: PendingRequest) -> Callable[[Attempt], None]:
        """Hold the maximum cost of an attempt."""
        if self.note_sent is not None:
            self.note_sent()
        try:
            watch = self.meter.reserve_attempt(model, request)
            return (
                watch
                if self.trace is None
                else self.trace.watch_attempt(request.record.operation, watch, request.body)
            )
        except Unpriced as error:
            built, tier = services(), request.body.get("service_tier")
            if (
                tier not in (None, built.config.service_tier)
                and built.prices.bound_micro_usd(model, 0, 0) is not None
            ):
                error.field = "serviceTier"  # only this tier has no price, and the caller chose it
                raise
            raise _choose_price_problem(model, error, is_fallback=model != request.models[0]) from None

    def watch_free_attempt(self, operation: str) -> Callable[[Attempt], None] | None:
        """Begin a span for an attempt that costs nothing, if the request is traced."""
        return None if self.trace is None else self.trace.watch_attempt(operation)

    def note_tool_run(self, name: str, ms: float, error: str | None) -> None:
        """Add a span for a tool that has run, if the request is traced."""
        if self.trace is not None:
            self.trace.add_tool_run(name, ms, error)

    def reserve_nothing(self, model: str) -> None:
        """Record a call that costs nothing, such as a cached answer."""
        self.meter.reserve_nothing(model)


def billed_context() -> BilledContext:
    """Return the context of the current request."""
    context, current = current_state(), current_request()
    built, principal, address = services(), context.principal, client_address(current)
    limits = built.limits
    token_rate_limit = TokenRateLimit(built.rate_limiter, limits.token_rates(principal, address))
    context.token_rate_limit = token_rate_limit
    meter = Meter(
        built.ledger,
        built.prices,
        _make_entry(
            principal, context.request_id, current.path, operation=str(current.blueprint).rpartition(".")[2]
        ),
        limits.spending(principal, address),
        token_rate_limit,
        lease_s=built.config.request_timeout_s + _LEASE_GRACE_S,
    )
    connection: Connection = ClientConnection(current.environ.get("gunicorn.socket"), built.lifecycle)
    if context.idempotent is not None:
        connection = context.idempotent.make_connection(built.lifecycle)
    elapsed_s = time.perf_counter() - context.started
    return BilledContext(
        connection,
        meter,
        principal.max_tokens,
        principal.tenant,
        elapsed_s,
        name_user(principal, address),
        built.pseudonyms.of(principal.tenant, principal.user),
        begun=context.started,
        reported_users=built.reported_users,
        sees_cache=principal.kind == "key" or principal.may("admin"),
        note_sent=context.idempotent and context.idempotent.note_sent,
        trace=context.trace,
        traceparent=_forward_traceparent(header) if (header := current.environ.get("HTTP_TRACEPARENT")) else "",
    )


def _forward_traceparent(traceparent: str) -> str:
    """Return the caller's traceparent, or an empty text if the caller does not sample its trace."""
    caller = parse_traceparent(traceparent)
    return str(caller) if caller is not None and caller.is_sampled else ""


def name_user(principal: Principal, address: str) -> str:
    """Return the name of a request's user. For unnamed visitors it is the address, as anyone can get a new session."""
    # A user id cannot contain a space, so no user can have the name of an address.
    return f"{principal.tenant}/{principal.user if principal.is_named else f'address {address}'}"


def name_current_user() -> str:
    """Return the name of the current request's user, as name_user() does."""
    return name_user(g.principal, client_address(request))


def build_entry(operation: str, model: str) -> NewEntry:
    """Return the ledger entry of the current request."""
    return _make_entry(g.principal, g.request_id, request.path, operation=operation, model=model)


def _make_entry(principal: Principal, request_id: str, route: str, *, operation: str, model: str = "") -> NewEntry:
    return NewEntry(request_id, principal.tenant, principal.user, principal.token_id, route, operation, model)


def settle_call(record: CallRecord) -> None:
    """Settle a call that has ended. The service calls this listener."""
    if isinstance(record.caller, BilledContext):
        record.caller.meter.settle(record)
        if has_request_context():
            current_state().call_record = record
