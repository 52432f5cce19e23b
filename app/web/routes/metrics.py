"""Count requests and calls, and serve /metrics to those networks that METRICS_ALLOW names."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from ipaddress import ip_network

from flask import Blueprint, Flask, Response, request

from app.auth.address import exact_address
from app.observability.metrics.metrics import Metrics
from app.openai_service import CallRecord
from app.web.call_context import BilledContext
from app.web.errors import NotFound
from app.web.guards import public
from app.web.request_id import current_request, current_state

_NO_ROUTE = "none"


def init_metrics(app: Flask, metrics: Metrics, allowed: Sequence[str]) -> None:
    """Count every request when its answer, or its stream, begins, and add the route.

    Args:
        app: the application.
        metrics: where it is counted.
        allowed: networks and addresses that may read it. To others, there is nothing at this URL.
    """
    note_request = metrics.counters.note_request
    networks = [ip_network(network) for network in allowed]
    bp = Blueprint("metrics", __name__)

    @bp.get("/metrics")
    @public
    def read() -> Response:
        address = exact_address(request)
        if address is None or not any(address in network for network in networks):
            raise NotFound
        body, content_type = metrics.render(request.headers.get("Accept", ""))
        return Response(body, content_type=content_type)

    def count(response: Response) -> Response:
        arrived, state = current_request(), current_state()
        note_request(
            _NO_ROUTE if arrived.url_rule is None else arrived.url_rule.rule,
            arrived.environ["REQUEST_METHOD"],
            response.status_code,
            state.error_code,
            time.perf_counter() - state.started,
        )
        return response

    app.after_request(count)
    app.register_blueprint(bp)


def build_listener(metrics: Metrics) -> Callable[[CallRecord], None]:
    """Return the listener that counts calls. It comes after the one that settles them."""

    def count_call(record: CallRecord) -> None:
        caller = record.caller
        settlement = caller.meter.settlement if isinstance(caller, BilledContext) else None
        metrics.counters.note_call(record, settlement)

    return count_call
