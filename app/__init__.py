"""Gatehouse: a backend that lets web sites use OpenAI without exposing the API key to browsers.

`create_app()` builds the application. docs/architecture.md describes the packages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import httpx2
from flask import Blueprint, Flask, Request

from app.auth import Principal
from app.cli import init_cli
from app.config import Config
from app.openai_service import CallRecord, Upstream
from app.openai_service.call_recording import log_call
from app.openai_service.transport.model_notices import warn_of_models
from app.runtime.logs.setup import configure_logging
from app.services import Services, build_metrics, build_services, install, open_tracing
from app.storage.shared_state import SharedState
from app.web.call_context import settle_call
from app.web.draining import init_draining
from app.web.errors import init_errors
from app.web.flask_app import WebApp
from app.web.forms.ask_form import identify_sender, read_once_key
from app.web.forwarded import TrustedProxies
from app.web.guards import init_guards
from app.web.observation.request_line import init_request_line
from app.web.openapi.routes import bp as openapi_bp
from app.web.origins import init_origins
from app.web.pages.board import REFUSALS
from app.web.pages.refusals import Refusals
from app.web.pages.simulation import init_simulation
from app.web.rate_limiting import init_rate_limiting
from app.web.replays.idempotency import init_idempotency, read_key_header
from app.web.request_id import init_request_context
from app.web.responses import init_responses
from app.web.routes import (
    chat,
    embeddings,
    frameworks,
    health,
    streams,
    structured,
    tokens,
    usage,
    vision,
    webhooks,
)
from app.web.routes.admin.limits import bp as limits_bp
from app.web.routes.batches import bp as batches_bp
from app.web.routes.pages import ask, console_facts, create_pages
from app.web.routes.v1 import chat_completions, models
from app.web.routes.v1 import embeddings as v1_embeddings
from app.web.routes.v1 import responses as v1_responses
from app.web.schemas.vision import MAX_FORM_PARTS


def create_app(
    config: Config | None = None,
    *,
    http_client: httpx2.Client | None = None,
    shared_state: SharedState | None = None,
) -> Flask:
    """Build the application: settings, services, hooks, blueprints and commands.

    Args:
        config: the settings; None reads the environment.
        http_client: replaces the HTTP client below the SDK.
        shared_state: replaces the state that all workers share.

    Raises:
        ConfigError: the settings do not allow a start.
    """
    config = config or Config.from_env()
    configure_logging(config.logs)
    warn_of_models(Upstream.from_settings(config.upstream), config.models.answering)

    app = WebApp(__name__, static_folder=None)
    app.url_map.merge_slashes = False  # otherwise Flask redirects, which loses the body of a POST
    app.config.update(
        SECRET_KEY=config.secret_key or None,
        SECRET_KEY_FALLBACKS=list(config.secret_key_fallbacks),
        MAX_CONTENT_LENGTH=config.max_body_bytes,
        MAX_JSON_BYTES=min(config.max_json_bytes, config.max_body_bytes),
        MAX_FORM_MEMORY_SIZE=min(config.max_json_bytes, config.max_body_bytes),
        MAX_FORM_PARTS=MAX_FORM_PARTS,
    )

    if config.trusted_proxies:
        app.wsgi_app = TrustedProxies(app.wsgi_app, config.trusted_proxies)  # type: ignore[method-assign]

    metrics = build_metrics(config)
    listeners: list[Callable[[CallRecord], None]] = [log_call, settle_call]
    if metrics is not None:
        from app.web.routes.metrics import build_listener, init_metrics  # loads prometheus-client

        listeners.append(build_listener(metrics))
        init_metrics(app, metrics, config.metrics_allow)
    tracing = open_tracing(config)
    services = build_services(
        config,
        listeners=listeners,
        http_client=http_client,
        shared_state=shared_state,
        metrics=metrics,
        tracing=tracing,
    )
    install(app, services)

    init_request_line(app, services.pseudonyms.name_in_log)
    init_request_context(app)
    if tracing is not None:
        from app.web.observation.request_span import begin_request_span, init_request_spans  # loads OpenTelemetry

        init_request_spans(app, tracing)
        services.openai_batches.watch_requests(begin_request_span)
    init_origins(app, config.origins, services.own_hosts)
    app.extensions[REFUSALS] = refusals = Refusals(services.shared_state)
    init_errors(app, refusals.note)

    api_blueprints = (
        chat.bp,
        streams.bp,
        frameworks.bp,
        vision.bp,
        embeddings.bp,
        structured.bp,
        tokens.bp,
        usage.bp,
        batches_bp,
        limits_bp,
    )
    app.register_blueprint(_build_area("api", api_blueprints, services))
    v1_blueprints = (chat_completions.bp, v1_responses.bp, v1_embeddings.bp, models.bp)
    app.register_blueprint(_build_area("v1", v1_blueprints, services))
    app.register_blueprint(_build_area("embed", (ask.bp,), services, identify_sender, read_once_key))
    app.register_blueprint(_build_area("console", (console_facts.bp,), services))
    app.register_blueprint(health.bp)
    app.register_blueprint(webhooks.bp)
    app.register_blueprint(openapi_bp)
    app.register_blueprint(create_pages())
    init_cli(app)
    return app


def _build_area(
    name: str,
    blueprints: Sequence[Blueprint],
    services: Services,
    identify: Callable[[Request], Principal] | None = None,
    read_key: Callable[[Request], str | None] = read_key_header,
) -> Blueprint:
    """Return the parent blueprint of an area of the API. All areas have the same hooks.

    Args:
        name: the name of the area, and the first segment of its URLs.
        blueprints: the blueprints of its routes.
        services: the services that the hooks use.
        identify: returns the principal of a request. By default its headers identify it.
        read_key: returns the idempotency key of a request.
    """
    area = Blueprint(name, __name__, url_prefix=f"/{name}")
    init_draining(area, services.lifecycle)
    streams.accept_token_in_url(area)
    init_guards(area, identify or services.authenticator.identify)
    init_rate_limiting(area, services.limits, services.rate_limiter)
    config = services.config
    init_simulation(area, is_allowed=config.is_offline and not config.is_production)
    init_responses(area)
    init_idempotency(area, read_key)
    for blueprint in blueprints:
        area.register_blueprint(blueprint)
    return area
