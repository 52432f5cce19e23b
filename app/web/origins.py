"""Allow CORS for the configured origins only, and refuse requests of other origins.

Without CORS headers, a page of another site cannot read the answer, but the model would already have been paid. So an
unsafe request is refused if its Origin is neither the site's own nor on the list. Refusals are logged, as a browser shows
a page no reason, and its developer little.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

from flask import Flask, Request, Response
from flask_cors import cross_origin

from app.auth.identify import read_authorization
from app.auth.own_hosts import OwnHosts
from app.config import OriginSettings
from app.problems import Problem
from app.runtime.log_throttle import LogThrottle
from app.web.observation.naming import name_origin, name_route
from app.web.request_id import add_headers, current_request

_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
_ALLOWED_HEADERS = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "Last-Event-ID",
    "X-Request-ID",
    "X-Simulate",  # in development
    # sent by OpenAI's SDKs
    "OpenAI-*",
    "X-Stainless-*",
    # sent by the AI SDK's useCompletion
    "User-Agent",
    # sent by tracing tools, which follow requests from the page to the server
    "baggage",
    "sentry-trace",
    "traceparent",
    "tracestate",
    "x-datadog-*",
)
_EXPOSED_HEADERS = [
    "Retry-After",
    "Retry-After-Ms",
    "RateLimit-Limit",
    "RateLimit-Remaining",
    "RateLimit-Reset",
    "X-Request-ID",
    "X-Model",
    "X-Attempts",
    "X-Overhead-Ms",
    "X-Params-Adjusted",
    "X-Should-Retry",
    "X-Stream-Id",
    "Idempotency-Kept",
    "Idempotent-Replay",
]
_PREFLIGHT_MAX_AGE_S = 3600
# No page of any origin may read these.
_WITHOUT_CORS = {"/metrics"}
_MAX_LOGGED_CHARS = 200
_ADD_HINT = "if its pages are yours, add it to {}"
# The origins of a development server: any port of this machine.
_LOOPBACK = re.compile(r"https?://(?:localhost|127\.0\.0\.1)(?::[1-9]\d{0,4})?\Z")

log = logging.getLogger(__name__)


class OriginNotAllowed(Problem):
    """The request comes from a page whose origin is not allowed."""

    status = 403
    code = "origin_not_allowed"
    sentence = "This origin may not use this service."


class HostNotTrusted(Problem):
    """A request without a credential was sent to a host name that is not this server's own (`TRUSTED_HOSTS`)."""

    status = 421
    code = "host_not_trusted"
    sentence = "Requests to this host name need a credential."


def init_origins(app: Flask, settings: OriginSettings, own_hosts: OwnHosts) -> None:
    """Answer the preflights of allowed origins, and refuse unsafe requests from all other origins."""
    allows_any = bool(settings.allowed) or settings.has_loopback_hosts
    cors = _build_cors(settings) if allows_any else None
    exposed = [("Access-Control-Expose-Headers", ", ".join(sorted(_EXPOSED_HEADERS)))]
    if settings.with_credentials:
        exposed.append(("Access-Control-Allow-Credentials", "true"))

    def is_allowed(origin: str | None) -> bool:
        if origin in settings.allowed:
            return True
        return settings.has_loopback_hosts and origin is not None and _LOOPBACK.fullmatch(origin) is not None

    throttle = LogThrottle()
    knows_own_hosts = bool(settings.own_hosts) or settings.has_loopback_hosts

    def refuse_foreign_origins() -> None:
        request = current_request()
        environ = request.environ
        origin, method = environ.get("HTTP_ORIGIN"), environ["REQUEST_METHOD"]
        if is_allowed(origin):
            return
        if method == "OPTIONS":
            if origin is not None and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ:
                warn_of_foreign_origin(request, origin)
        elif method in _SAFE_METHODS:
            # DNS rebinding: such a page can read what needs no credential, and its GET requests have no Origin.
            if knows_own_hosts and _reads_without_credential(environ) and not own_hosts.include(request):
                warn(request, "host.refused", request.host, _ADD_HINT.format("TRUSTED_HOSTS"))
                raise HostNotTrusted
        elif origin is not None and not own_hosts.is_own_origin(request, origin):
            warn_of_foreign_origin(request, origin)
            raise OriginNotAllowed

    def warn_of_foreign_origin(request: Request, origin: str) -> None:
        if own_hosts.is_own_origin(request, origin):
            return
        # A page whose origin equals the Host of its request is most probably the site's own.
        is_of_host = origin.lower().partition("://")[2] == request.host.lower()
        hint = _ADD_HINT.format("TRUSTED_HOSTS" if is_of_host else "ALLOWED_ORIGINS")
        if is_of_host and own_hosts.include(request):  # only the scheme differs
            hint = "if a proxy terminates TLS for this server, set TRUSTED_PROXIES, and let the proxy send X-Forwarded-Proto"
        warn(request, "origin.refused", name_origin(origin), hint)

    def warn(request: Request, event: str, name: str, hint: str) -> None:
        name = name[:_MAX_LOGGED_CHARS]
        if throttle.allows(f"{event} {name}"):
            extra = {event.partition(".")[0]: name, "method": request.method, "route": name_route(request)}
            log.warning(event, extra={**extra, "hint": hint})

    def add_cors(response: Response) -> Response:
        # Even on responses without CORS headers: a cache must not serve one origin's response to another.
        vary = ("Vary", "Origin")
        request = current_request()
        origin = request.environ.get("HTTP_ORIGIN")
        if cors is None or origin is None or request.environ["PATH_INFO"] in _WITHOUT_CORS:
            add_headers(response, [vary])
        elif request.method != "OPTIONS" and is_allowed(origin):
            # The headers that flask-cors would add, which takes it a hundred calls.
            add_headers(response, [("Access-Control-Allow-Origin", origin), *exposed, vary])
        else:
            response = cors(response)
            add_headers(response, [vary])
        return response

    app.before_request(refuse_foreign_origins)
    app.after_request(add_cors)


def _build_cors(settings: OriginSettings) -> Callable[[Response], Response]:
    """Return a function that adds CORS headers to a response."""
    # Compiled patterns, since flask-cors interprets a string with brackets (IPv6) as a pattern.
    origins = [re.compile(re.escape(origin) + r"\Z") for origin in settings.allowed]
    if settings.has_loopback_hosts:
        origins.append(_LOOPBACK)
    add: Callable[[Response], Response] = cross_origin(
        origins=origins,
        supports_credentials=settings.with_credentials,
        methods=["GET", "POST", "PUT", "DELETE", "OPTIONS"],
        allow_headers=[_compile_header(name) for name in (*_ALLOWED_HEADERS, *settings.allowed_headers)],
        expose_headers=_EXPOSED_HEADERS,
        max_age=_PREFLIGHT_MAX_AGE_S,
        automatic_options=False,
        always_send=False,
        vary_header=False,
        allow_private_network=False,
    )(lambda response: response)

    def add_with_methods(response: Response) -> Response:
        response = add(response)
        if response.allow and "Access-Control-Allow-Methods" in response.headers:
            response.headers["Access-Control-Allow-Methods"] = ", ".join(sorted(response.allow))  # of the route
        return response

    return add_with_methods


def _compile_header(name: str) -> re.Pattern[str]:
    """Return a pattern that matches a header's name. An asterisk at its end matches any further characters."""
    return re.compile(re.escape(name).replace(r"\*", r"[\w.-]+") + r"\Z", re.IGNORECASE)


def _reads_without_credential(environ: dict[str, Any]) -> bool:
    return environ["PATH_INFO"].startswith(("/api/", "/v1/", "/console/")) and read_authorization(environ) is None
