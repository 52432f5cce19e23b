"""Gatehouse: a site's own way to OpenAI, whose key no browser sees. `create_app()` is the whole wiring."""

from __future__ import annotations

from pathlib import Path

import httpx2
from flask import Blueprint, Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from app import extensions
from app.admission import init_admission
from app.auth import build_authenticator, init_guards
from app.batches import Batches
from app.blueprints import chat, embeddings, health, structured, tokens, usage, vision
from app.blueprints.batches import bp as batches_bp
from app.blueprints.pages import pages
from app.cli import init_cli
from app.config import Config, ConfigError
from app.draining import refuse_while_draining
from app.errors import init_errors
from app.ledger.database import open_database
from app.ledger.estimate import input_bound
from app.ledger.ledger import Ledger
from app.ledger.price_list import FreePrices, PriceList
from app.ledger.pricing import Prices
from app.logging_config import configure_logging, log_call
from app.metering import settle_call
from app.model_notices import warn_of_models
from app.openai_service import InputLimits, OpenAIBatches, OpenAIService, build_client
from app.origins import init_origins
from app.prompts import read_prompts
from app.rate_limits import RateLimiter
from app.request_context import init_request_context
from app.schemas.named_schemas import load_schemas
from app.schemas.prompting import SystemPrompts
from app.server_tools import load_tools
from app.shared_state import SharedState, open_cache, open_state
from app.stream_slots import StreamSlots
from app.token_counts import TokenCounts
from app.web.flask_app import WebApp
from app.wire.answers import init_answers

_ROOT = Path(__file__).parent.parent


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

    try:
        client = build_client(config, http_client, offline_dir=_ROOT / config.data_dir / "offline")
        database = open_database(config.database_url, _ROOT)
        prices = _prices(config)
    except (ValueError, OSError) as error:
        raise ConfigError([f"{error}."]) from None
    toolbox = load_tools(config.allowed_tools)
    schemas = load_schemas(_ROOT / config.schemas_dir)
    state = shared_state or open_state(directory=_ROOT / config.state_dir, redis_url=config.redis_url)
    cache = open_cache(directory=_ROOT / config.state_dir, redis_url=config.redis_url)
    limiter = RateLimiter(state)
    token_counts = _token_counts(config)
    ledger = Ledger(database, journal_dir=_ROOT / config.data_dir)
    input_limits = InputLimits(config, token_counts, input_bound)
    openai_batches = OpenAIBatches(config, client, input_limits)
    service = OpenAIService(
        config,
        client,
        state,
        listeners=[log_call, settle_call],
        input_limits=input_limits,
        cache=cache,
    )
    extensions.install(
        app,
        extensions.Parts(
            config=config,
            service=service,
            token_counts=token_counts,
            prompts=SystemPrompts(
                own=config.system_prompt,
                client_may_write=config.allow_client_system_prompt,
                kept=read_prompts(_ROOT / config.prompts_dir, tools=toolbox.declared, schemas=schemas),
                schemas=schemas,
            ),
            schemas=schemas,
            toolbox=toolbox,
            slots=StreamSlots(state, limit=config.max_concurrent_streams),
            limiter=limiter,
            state=state,
            cache=cache,
            database=database,
            authenticator=build_authenticator(config, database, state),
            ledger=ledger,
            prices=prices,
            openai_batches=openai_batches,
            batches=Batches(config, openai_batches, database, ledger, prices),
        ),
    )

    init_request_context(app)
    init_origins(app, config)
    init_errors(app)

    api = Blueprint("api", __name__, url_prefix="/api")
    api.before_request(refuse_while_draining)
    init_guards(api, extensions.identify)
    init_admission(api, config, limiter)
    init_answers(api)
    for blueprint in (chat.bp, vision.bp, embeddings.bp, structured.bp, tokens.bp, usage.bp, batches_bp):
        api.register_blueprint(blueprint)
    app.register_blueprint(api)
    app.register_blueprint(health.bp)
    if not config.is_production:
        app.register_blueprint(pages(config))
    init_cli(app)
    return app


def _token_counts(config: Config) -> TokenCounts:
    models = (config.chat_model, *config.chat_fallback_models, config.vision_model, *config.allowed_models)
    return TokenCounts(_ROOT / config.data_dir / "tiktoken", models)


def _prices(config: Config) -> PriceList:
    if config.is_offline:
        return FreePrices()
    return Prices(_ROOT / config.prices_file if config.prices_file else None)
