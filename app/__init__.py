"""Gatehouse: a site's own way to OpenAI, whose key no browser sees. `create_app()` is the whole wiring."""

from __future__ import annotations

import httpx2
from flask import Blueprint, Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from app.cli import init_cli
from app.config import Config
from app.openai_service.call_log import log_call
from app.openai_service.transport.model_notices import warn_of_models
from app.runtime.logs import configure_logging
from app.services import build, install
from app.shared_state import SharedState
from app.web.call_context import settle_call
from app.web.draining import init_draining
from app.web.errors import init_errors
from app.web.flask_app import WebApp
from app.web.guards import init_guards
from app.web.origins import init_origins
from app.web.rate_limiting import init_rate_limiting
from app.web.request_id import init_request_context
from app.web.responses import init_responses
from app.web.routes import chat, embeddings, health, structured, tokens, usage, vision
from app.web.routes.batches import bp as batches_bp
from app.web.routes.playground import playground


def create_app(
    config: Config | None = None,
    *,
    http_client: httpx2.Client | None = None,
    shared_state: SharedState | None = None,
) -> Flask:
    """Build the application.

    Args:
        config: None reads the environment, and .env below it.
        http_client: stands in for the way to the upstream.
        shared_state: stands in for what all workers share.
    Raises:
        ConfigError: the settings do not allow a start.
    """
    config = config or Config.from_env()
    configure_logging(config.log_level)
    warn_of_models(config)

    app = WebApp(__name__, static_folder=None)
    app.url_map.merge_slashes = False  # an address is right or 404; a redirect would lose a POST's body
    app.config.update(
        SECRET_KEY=config.secret_key or None,
        MAX_CONTENT_LENGTH=config.max_body_bytes,
        MAX_FORM_MEMORY_SIZE=config.max_body_bytes,
    )

    if config.trusted_proxies:
        # Each proxy adds one entry, so the visitor's own address is that many from the end; what a visitor
        # writes into the header stands before it.
        hops = config.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=0)  # type: ignore[method-assign]

    built = build(config, listeners=[log_call, settle_call], http_client=http_client, shared_state=shared_state)
    install(app, built)

    init_request_context(app)
    init_origins(app, config.origins)
    init_errors(app)

    api = Blueprint("api", __name__, url_prefix="/api")
    init_draining(api, built.lifecycle)
    init_guards(api, built.authenticator.identify)
    init_rate_limiting(api, built.limits, built.rate_limiter)
    init_responses(api)
    for blueprint in (chat.bp, vision.bp, embeddings.bp, structured.bp, tokens.bp, usage.bp, batches_bp):
        api.register_blueprint(blueprint)
    app.register_blueprint(api)
    app.register_blueprint(health.bp)
    if not config.is_production:
        app.register_blueprint(playground(config))
    init_cli(app)
    return app
