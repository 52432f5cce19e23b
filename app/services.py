"""Build all objects of a process from the settings, once, and give access to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
from flask import Flask, current_app

from app.auth import Authenticator
from app.auth.audit.trail import AuditTrail
from app.auth.identify import build_authenticator
from app.auth.own_hosts import OwnHosts
from app.batches import Batches
from app.billing.ledger.ledger import Ledger
from app.billing.ledger.reports import Reports
from app.billing.outbox.targets import list_target_names
from app.config import Config, ConfigError, find_unreadable
from app.json_schema.catalog import NamedSchemas, load_schemas
from app.limits.accounts import AccountLimits, read_limits
from app.limits.concurrency import ConcurrencyLimit
from app.limits.rate_limiter import RateLimiter
from app.limits.stored_limits import StoredLimits
from app.limits.token_rate_limit import TokenRateLimit
from app.media.documents import make_document_processes
from app.media.images import make_image_processes
from app.media.markdown import make_markdown_processes
from app.models.pricing.catalog import Prices
from app.models.pricing.interface import FreePrices, PriceList
from app.models.token_counts import TokenCounts
from app.openai_service import BatchSender, CallRecord, InputWindow, OpenAIBatches, OpenAIService, build_client
from app.openai_service.owner_faults import OwnerFaults
from app.openai_service.resilience.drain import DrainPool
from app.prompts import read_prompts
from app.prompts.selection import PromptSelection
from app.runtime.lifecycle import Lifecycle
from app.runtime.side_process import SideProcessPool
from app.runtime.version import find_version
from app.safety.deliveries import Deliveries
from app.safety.events import SafetyEvents
from app.safety.pseudonyms import Pseudonyms
from app.safety.reported_users import ReportedUsers
from app.safety.sealed_reasoning import ReasoningSeals
from app.safety.signatures import decode_secret
from app.storage.database.database import Database, DatabaseUnavailable, open_database
from app.storage.shared_state import SharedCache, SharedRecords, SharedState, open_cache, open_records, open_state
from app.storage.shared_state.replays import AnswerStore, IdempotencyKeys
from app.tools import Toolbox, load_tools

if TYPE_CHECKING:
    from app.observability.metrics.metrics import Metrics
    from app.observability.tracing.provider import Tracing

_ROOT = Path(__file__).parent.parent
_KEY = "gatehouse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """All objects of a process, which build_services() builds once."""

    config: Config
    openai_service: OpenAIService
    openai_batches: OpenAIBatches
    token_counts: TokenCounts
    prompts: PromptSelection
    schemas: NamedSchemas
    toolbox: Toolbox
    authenticator: Authenticator
    own_hosts: OwnHosts
    pseudonyms: Pseudonyms
    reasoning_seals: ReasoningSeals
    safety_events: SafetyEvents
    reported_users: ReportedUsers
    deliveries: Deliveries
    webhook_key: bytes | None = field(repr=False)
    limits: AccountLimits
    stored_limits: StoredLimits
    audit: AuditTrail
    rate_limiter: RateLimiter
    concurrency_limit: ConcurrencyLimit
    shared_state: SharedState
    cache: SharedCache
    records: SharedRecords
    answers: AnswerStore
    idempotency_keys: IdempotencyKeys
    unattended_streams: DrainPool
    database: Database
    ledger: Ledger
    reports: Reports
    prices: PriceList
    batches: Batches
    owner_faults: OwnerFaults
    image_processes: SideProcessPool
    document_processes: SideProcessPool
    markdown_processes: SideProcessPool
    metrics: Metrics | None = None
    tracing: Tracing | None = None
    lifecycle: Lifecycle = field(default_factory=Lifecycle)

    def start(self) -> None:
        """Start the background work. Workers call this; commands do not."""
        with suppress(DatabaseUnavailable):  # the first transaction tries again
            self.database.migrate()
            self.stored_limits.refresh()
        self.ledger.start()
        self.token_counts.load(self.config.models.answering)
        if self.metrics is not None:
            self.metrics.start()

    def close(self) -> None:
        """Stop the background work, and close files and connections. The process ends after this."""
        if self.metrics is not None:
            self.metrics.close()
        self.unattended_streams.close()
        self.openai_service.close()
        self.image_processes.close()
        self.document_processes.close()
        self.markdown_processes.close()
        self.ledger.close()
        self.shared_state.close()
        self.cache.close()
        self.records.close()
        self.database.close()
        if self.tracing is not None:
            self.tracing.close()  # last, as it waits if the collector is unavailable


def build_services(
    config: Config,
    *,
    listeners: Sequence[Callable[[CallRecord], None]],
    http_client: httpx2.Client | None = None,
    shared_state: SharedState | None = None,
    metrics: Metrics | None = None,
    tracing: Tracing | None = None,
) -> Services:
    """Build every object from the settings.

    Args:
        config: the settings.
        listeners: called with the record of each call.
        http_client: replaces the HTTP client below the SDK.
        shared_state: replaces the state that all workers share.
        metrics: counts requests and calls; None if METRICS_ALLOW is not set.
        tracing: exports traces; None without tracing.

    Raises:
        ConfigError: the settings do not allow a start.
    """
    if unreadable := [*find_unreadable(config, _ROOT)]:
        raise ConfigError(unreadable)
    try:
        client = build_client(config.connection, http_client, offline_dir=_ROOT / config.data_dir / "offline")
        database = open_database(config.database_url, _ROOT)
        prices = _build_prices(config)
    except (ValueError, OSError) as error:
        raise ConfigError([f"{error}."]) from None
    toolbox = load_tools(_ROOT / config.tools_dir, config.allowed_tools)
    schemas = load_schemas(_ROOT / config.schemas_dir)
    state = shared_state or open_state(directory=_ROOT / config.state_dir, redis_url=config.redis_url)
    cache = open_cache(directory=_ROOT / config.state_dir, redis_url=config.redis_url)
    records = open_records(directory=_ROOT / config.state_dir, redis_url=config.redis_url)
    token_counts = TokenCounts(config.default_encoding, folder=_ROOT / config.state_dir)
    input_window = InputWindow(config.models, token_counts)
    owner_faults = OwnerFaults(state)
    openai_batches = OpenAIBatches(
        config.upstream_batches, BatchSender(client.keys), state, input_window, owner_faults.note_failure
    )
    rate_limiter = RateLimiter(state)
    ledger = Ledger(
        database,
        journal_dir=_ROOT / config.data_dir,
        writes_notes=True,
        release_reserved=lambda dump, used: TokenRateLimit.load(rate_limiter, dump).release_unused(used),
        note_swept=None if metrics is None else metrics.counters.swept_holds.inc,
        outbox_targets=list_target_names(config),
    )
    own_hosts = OwnHosts(config.origins.own_hosts, with_loopback=config.origins.has_loopback_hosts)
    secret = config.secret_key or next(iter(config.api_keys), "")
    former = (secret, *config.secret_key_fallbacks) if config.pseudonym_secret else config.secret_key_fallbacks
    pseudonyms = Pseudonyms(config.pseudonym_secret or secret, former, in_log=config.log_users)
    authenticator = build_authenticator(config, database, state, own_hosts)
    reports = Reports(database)
    reported_users = ReportedUsers(state)
    stored_limits = StoredLimits(database, reports, "day" if config.budget_window == "day" else "month")
    limits = read_limits(config, stored_limits.current)
    built = Services(
        config=config,
        openai_service=OpenAIService(
            config.service,
            client,
            state,
            listeners=[*listeners, owner_faults.note],
            input_window=input_window,
            cache=cache,
        ),
        openai_batches=openai_batches,
        token_counts=token_counts,
        prompts=PromptSelection(
            default=config.system_prompt,
            allows_client_prompt=config.allow_client_system_prompt,
            service_tiers=config.allowed_service_tiers,
            stored=read_prompts(_ROOT / config.prompts_dir, tools=toolbox.declared, schemas=schemas),
            schemas=schemas,
        ),
        schemas=schemas,
        toolbox=toolbox,
        authenticator=authenticator,
        own_hosts=own_hosts,
        pseudonyms=pseudonyms,
        reasoning_seals=ReasoningSeals(secret, config.secret_key_fallbacks),
        safety_events=SafetyEvents(database, pseudonyms, authenticator.tokens, reports, reported_users),
        reported_users=reported_users,
        deliveries=Deliveries(state),
        webhook_key=decode_secret(config.openai_webhook_secret) if config.openai_webhook_secret else None,
        limits=limits,
        stored_limits=stored_limits,
        audit=AuditTrail(database),
        rate_limiter=rate_limiter,
        concurrency_limit=ConcurrencyLimit(
            state,
            limit=config.max_concurrent_streams,
            note_change=None if metrics is None else metrics.counters.streams_running.inc,
        ),
        shared_state=state,
        cache=cache,
        records=records,
        answers=AnswerStore(records),
        idempotency_keys=IdempotencyKeys(records, ttl_s=config.idempotency_keep_s),
        unattended_streams=DrainPool(max_concurrent=config.max_concurrent_streams),
        database=database,
        ledger=ledger,
        reports=reports,
        prices=prices,
        batches=Batches(config.batching, openai_batches, database, ledger, prices),
        owner_faults=owner_faults,
        image_processes=make_image_processes(config.max_image_pixels),
        document_processes=make_document_processes(config.max_file_bytes),
        markdown_processes=make_markdown_processes(),
        metrics=metrics,
        tracing=tracing,
    )
    if metrics is not None:
        metrics.connect(built)
    return built


def build_metrics(config: Config) -> Metrics | None:
    """Return the metrics; None if METRICS_ALLOW is not set."""
    if not config.metrics_allow:
        return None
    from app.observability.metrics.metrics import open_metrics  # loads prometheus-client

    return open_metrics(config, _ROOT)


def open_tracing(config: Config) -> Tracing | None:
    """Return the exporter of traces; None without tracing.

    Raises:
        ConfigError: the packages for tracing are not installed.
    """
    if config.tracing is None:
        return None
    try:
        from app.observability.tracing.provider import Tracing  # loads OpenTelemetry
    except ModuleNotFoundError as error:
        hint = (
            f"OTEL_EXPORTER_OTLP_ENDPOINT needs the packages of requirements-otel.txt ({error.name} is missing)."
        )
        raise ConfigError([hint]) from None
    return Tracing(config.tracing, find_version(_ROOT))


def install(app: Flask, built: Services) -> None:
    """Add the services to an application."""
    app.extensions[_KEY] = built


def services() -> Services:
    """Return the services of the current application."""
    # Bypasses the proxy, which takes two more calls.
    built: Services = current_app._get_current_object().extensions[_KEY]  # type: ignore[attr-defined]
    return built


def _build_prices(config: Config) -> PriceList:
    try:
        file = _ROOT / config.prices_file if config.prices_file else None
        prices = Prices(file, image_usd=config.openai_image_price_usd)
    except ValueError as error:  # raised with the offline model, too, so that a developer sees it early
        raise ValueError(f"PRICES_FILE: {error}") from None
    return FreePrices() if config.is_offline else prices
