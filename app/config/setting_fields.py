"""Declare every setting, with its default and its check."""

from __future__ import annotations

from dataclasses import dataclass, fields

from app.config import formats
from app.config.fields import ConfigError, find_problem, one_of, secret, secrets, some_of, text, within
from app.config.identity_provider import VISITOR_SCOPES
from app.config.models import HOSTED_TOOLS, REASONING_EFFORTS, SERVICE_TIERS, VERBOSITIES
from app.config.upstream_urls import check_azure_endpoint, check_azure_version, check_base_url


@dataclass(frozen=True, kw_only=True)
class SettingFields:
    """One field for each environment variable, in lower case. .env.example explains them."""

    app_env: str = one_of("development", "production", default="development")
    host: str = text(formats.check_listening_host, default="127.0.0.1")
    port: int = within(0, formats.MAX_PORT, default=8000)
    bind: str = text(formats.check_bind)
    web_concurrency: int = within(0, 1_000, default=0)
    worker_class: str = one_of("gevent", "gthread", default="gevent")
    worker_connections: int = within(1, 1_000_000, default=2000)
    threads: int = within(1, 10_000, default=64)
    secret_key: str = secret()
    secret_key_fallbacks: tuple[str, ...] = secrets()
    pseudonym_secret: str = secret()
    trusted_proxies: int = within(0, 10, default=0)
    metrics_allow: tuple[str, ...] = ()
    log_level: str = one_of("DEBUG", "INFO", "WARNING", "ERROR", default="INFO")
    log_format: str = one_of("text", "json", default="text")
    log_priorities: str = one_of("auto", "always", "never", default="auto")
    log_users: str = one_of("hash", "id", "none", default="hash")
    otel_exporter_otlp_endpoint: str = secret(formats.check_http_url)
    otel_exporter_otlp_headers: str = secret(formats.check_header_pairs)
    otel_service_name: str = "gatehouse"

    openai_api_key: str = secret()
    openai_api_keys: tuple[str, ...] = secrets()
    openai_base_url: str = text(check_base_url)
    offline_model_as: str = "gpt-6.1-terra"
    openai_org_id: str = ""
    openai_admin_key: str = secret()
    openai_webhook_secret: str = secret(formats.check_webhook_secret)
    azure_openai_endpoint: str = text(check_azure_endpoint)
    upstream_api: str = one_of("auto", "chat", "responses", default="auto")
    azure_openai_api_version: str = text(check_azure_version, default="2024-10-21")
    upstream_identifiers: str = one_of("auto", "always", "never", default="auto")
    store_at_openai: bool = False

    chat_model: str = "gpt-6.1-terra"
    chat_fallback_models: tuple[str, ...] | None = None
    vision_model: str = "gpt-6.1-terra"
    embedding_model: str = "text-embedding-3-small"
    allowed_models: tuple[str, ...] = ()
    max_tokens: int = within(1, 10_000_000, default=8192)
    max_tokens_param: str = one_of("max_completion_tokens", "max_tokens", default="max_completion_tokens")
    stream_options: bool = True
    reasoning_effort: str = one_of("", *REASONING_EFFORTS, default="")
    verbosity: str = one_of("", *VERBOSITIES, default="")
    service_tier: str = one_of("", *SERVICE_TIERS, default="")
    allowed_service_tiers: tuple[str, ...] = some_of(*SERVICE_TIERS)
    system_prompt: str = ""
    allow_client_system_prompt: bool = True

    max_input_tokens: int = within(0, 100_000_000, default=0)
    default_encoding: str = one_of("o200k_base", "cl100k_base", "bytes", default="bytes")
    prompts_dir: str = "prompts"
    schemas_dir: str = "schemas"
    tools_dir: str = "tools"
    allowed_tools: tuple[str, ...] = ()
    tool_max_steps: int = within(1, 100, default=5)
    allowed_openai_tools: tuple[str, ...] = some_of(*HOSTED_TOOLS, default=())
    openai_tool_resources: tuple[str, ...] = ()
    openai_tool_max_calls: int = within(1, 128, default=5)
    openai_image_price_usd: float = within(0, 1_000, default=0.0)
    tool_timeout_s: float = within(0.001, 86_400, default=10.0)
    max_image_bytes: int = within(1, 1_000_000_000, default=10 * 1024 * 1024)
    max_image_pixels: int = within(1, 1_000_000_000, default=25_000_000)
    max_image_detail: str = one_of("low", "high", "auto", "original", default="original")
    max_file_bytes: int = within(1, 1_000_000_000, default=10 * 1024 * 1024)
    max_file_pages: int = within(1, 100_000, default=100)
    batches: str = one_of("off", "keys", "all", default="keys")
    max_batch_requests: int = within(1, 50_000, default=1_000)
    moderation: str = one_of("off", "input", "both", default="off")
    moderation_model: str = "omni-moderation-latest"
    moderation_on_failure: str = one_of("allow", "refuse", default="allow")
    embedding_cache_entries: int = within(0, 1_000_000, default=0)
    embedding_cache_ttl_s: int = within(1, 31_536_000, default=7 * 86_400)
    chat_cache_entries: int = within(0, 1_000_000, default=1_000)
    chat_cache_ttl_s: int = within(1, 31_536_000, default=3_600)

    request_timeout_s: float = within(0.001, 86_400, default=60.0)
    connect_timeout_s: float = within(0.001, 86_400, default=5.0)
    first_token_timeout_s: float = within(0.001, 86_400, default=45.0)
    idle_timeout_s: float = within(0.001, 86_400, default=30.0)
    heartbeat_s: float = within(0.001, 86_400, default=15.0)
    resume_linger_s: float = within(0, 3_600, default=2.0)
    resume_keep_s: float = within(1, 86_400, default=300.0)
    idempotency_keep_s: float = within(60, 2_592_000, default=86_400.0)
    stream_padding: int = within(0, 128, default=16)
    max_body_bytes: int = within(1, 10_000_000_000, default=20 * 1024 * 1024)
    max_json_bytes: int = within(1, 10_000_000_000, default=1024 * 1024)

    retry_max_attempts: int = within(1, 20, default=3)
    breaker_failures: int = within(1, 1_000_000, default=5)
    breaker_cooldown_s: float = within(0.001, 86_400, default=30.0)
    disconnect_policy: str = one_of("cancel", "drain", default="cancel")
    max_concurrent_streams: int = within(1, 1_000_000, default=1000)
    max_stream_share: float = within(0.001, 1, default=0.25)
    state_dir: str = "instance"
    redis_url: str = secret(formats.check_redis_url)

    allowed_origins: tuple[str, ...] = ()
    trusted_hosts: tuple[str, ...] = ()
    cors_allowed_headers: tuple[str, ...] = ()
    cors_credentials: bool = False
    auth_required: bool = False
    anonymous_scopes: tuple[str, ...] | None = None
    anonymous_budget_usd: float = within(0, 1_000_000_000, default=0.0)
    user_budget_usd: float = within(0, 1_000_000_000, default=0.0)
    user_budget_tokens: int = within(0, 10**15, default=0)
    tenant_budget_usd: float = within(0, 1_000_000_000, default=0.0)
    tenant_budget_tokens: int = within(0, 10**15, default=0)
    budget_window: str = one_of("day", "month", default="month")
    rate_limit: str = text(formats.check_rate)
    tenant_rate_limit: str = text(formats.check_rate)
    address_rate_limit: str = text(formats.check_rate)
    token_rate_limit: str = text(formats.check_rate)
    tenant_token_rate_limit: str = text(formats.check_rate)
    address_token_rate_limit: str = text(formats.check_rate)
    user_concurrent_streams: int = within(0, 1_000_000, default=0)
    tenant_concurrent_streams: int = within(0, 1_000_000, default=0)
    address_concurrent_streams: int = within(0, 1_000_000, default=0)
    address_connections: int = within(0, 1_000_000, default=0)
    address_slow_requests: int = within(1, 1_000_000, default=32)
    prices_file: str = ""
    data_dir: str = "instance"
    database_url: str = secret(default="sqlite:///instance/gatehouse.sqlite3")
    entries_keep_days: int = within(0, 36_500, default=0)
    audit_keep_days: int = within(0, 36_500, default=0)
    safety_events_keep_days: int = within(0, 36_500, default=0)
    usage_webhook_url: str = secret(formats.check_usage_webhook)
    usage_webhook_secret: str = secret(formats.check_own_webhook_secret)
    stripe_api_key: str = secret()
    stripe_meter: str = ""
    stripe_meter_value: str = one_of("cost_micro_usd", "tokens", default="cost_micro_usd")
    stripe_customers: tuple[str, ...] = ()
    session_ttl_s: int = within(60, 2_592_000, default=8 * 3600)
    token_max_ttl_s: int = within(1, 2_592_000, default=24 * 3600)
    jwt_issuer: str = ""
    jwt_audience: str = ""
    jwt_jwks_url: str = ""
    jwt_secret: str = secret()
    jwt_algorithm: str = "RS256"
    jwt_tenant: str = "default"
    jwt_scopes: tuple[str, ...] = VISITOR_SCOPES

    def __post_init__(self) -> None:
        if problems := self.find_problems():
            raise ConfigError(problems)

    def find_problems(self) -> list[str]:
        """Return one sentence for each value that is not valid. The defaults are."""
        of_fields = [(declared, getattr(self, declared.name)) for declared in fields(self)]
        given = [(declared, value) for declared, value in of_fields if value is not declared.default]
        return [problem for each in given if (problem := find_problem(*each))]
