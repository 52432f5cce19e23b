"""Count requests and calls, and serve /metrics to the networks in METRICS_ALLOW."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from ipaddress import ip_network

from flask import Blueprint, Flask, Response, request

from app.auth.address import exact_address
from app.auth.own_hosts import read_host
from app.observability.metrics.metrics import Metrics
from app.openai_service import CallRecord
from app.runtime.log_throttle import LogThrottle
from app.services import services
from app.web.call_context import BilledContext
from app.web.errors import NotFound
from app.web.guards import public
from app.web.origins import HostNotTrusted
from app.web.request_id import current_request, current_state

_NO_ROUTE = "none"
_MAX_LOGGED_CHARS = 200
_HINT = "if Prometheus uses this host name, add it to TRUSTED_HOSTS"

log = logging.getLogger(__name__)


def init_metrics(app: Flask, metrics: Metrics, allowed: Sequence[str]) -> None:
    """Count every request when its response or stream begins, and add the route /metrics.

    Args:
        app: the application.
        metrics: counts the requests.
        allowed: the networks and addresses that may read the metrics. Other clients get a 404.
    """
    note_request = metrics.counters.note_request
    throttle = LogThrottle()
    networks = [ip_network(network) for network in allowed]
    bp = Blueprint("metrics", __name__)

    @bp.get("/metrics")
    @public
    def read() -> Response:
        address = exact_address(request)
        if address is None or not any(address in network for network in networks):
            raise NotFound
        # Browsers in these networks load pages of other sites, too, which may use DNS rebinding.
        if services().own_hosts.can_be_rebound(request):
            if throttle.allows(name := read_host(request)[:_MAX_LOGGED_CHARS]):
                log.warning("host.refused", extra={"host": name, "method": request.method, "hint": _HINT})
            raise HostNotTrusted
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
    """Return the listener that counts calls. It must run after the listener that settles them."""

    def count_call(record: CallRecord) -> None:
        caller = record.caller
        settlement = caller.meter.settlement if isinstance(caller, BilledContext) else None
        metrics.counters.note_call(record, settlement)

    return count_call
