"""Config: every setting, with its default and its check."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property

from app.config import formats
from app.config.fields import ConfigError, find_problem, one_of, secret, text, within
from app.config.groups import (
    BatchSettings,
    BreakerSettings,
    CacheSettings,
    ConnectionSettings,
    ImageSettings,
    ModerationSettings,
    OriginSettings,
    SendSettings,
    ServiceSettings,
    TokenSettings,
    UpstreamBatchSettings,
    UpstreamSettings,
)
from app.config.identity_provider import VISITOR_SCOPES, ProviderSettings, read_provider
from app.config.models import ModelSettings, read_models
from app.config.rules import find_problems
from app.config.upstream_urls import check_azure_endpoint, check_azure_version, check_base_url
from app.config.variables import parse_values


@dataclass(frozen=True, kw_only=True)
class Config:
    """One field for each environment variable of the same name in capitals; .env.example explains them."""

    app_env: str = one_of("development", "production", default="development")
    host: str = "127.0.0.1"
    port: int = within(0, 65_535, default=8000)
    bind: str = ""
    web_concurrency: int = within(0, 1_000, default=0)
    worker_class: str = one_of("gevent", "gthread", default="gevent")
    worker_connections: int = within(1, 1_000_000, default=2000)
    threads: int = within(1, 10_000, default=64)
    secret_key: str = secret()
    trusted_proxies: int = within(0, 10, default=0)
    log_level: str = one_of("DEBUG", "INFO", "WARNING", "ERROR", default="INFO")

    openai_api_key: str = secret()
    openai_base_url: str = text(check_base_url)
    openai_org_id: str = ""
    azure_openai_endpoint: str = text(check_azure_endpoint)
    azure_openai_api_version: str = text(check_azure_version, default="2024-10-21")

    chat_model: str = "gpt-6.1-terra"
    chat_fallback_models: tuple[str, ...] | None = None
    vision_model: str = "gpt-6.1-terra"
    embedding_model: str = "text-embedding-3-small"
    allowed_models: tuple[str, ...] = ()
    max_tokens: int = within(1, 10_000_000, default=8192)
    max_tokens_param: str = one_of("max_completion_tokens", "max_tokens", default="max_completion_tokens")
    stream_options: bool = True
    system_prompt: str = ""
    allow_client_system_prompt: bool = True

    max_input_tokens: int = within(0, 100_000_000, default=0)
    prompts_dir: str = "prompts"
    schemas_dir: str = "schemas"
    tools_dir: str = "tools"
    allowed_tools: tuple[str, ...] = ()
    tool_max_steps: int = within(1, 100, default=5)
    tool_timeout_s: float = within(0.001, 86_400, default=10.0)
    max_image_bytes: int = within(1, 1_000_000_000, default=10 * 1024 * 1024)
    max_image_pixels: int = within(1, 1_000_000_000, default=25_000_000)
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
        of_fields = (find_problem(declared, getattr(self, declared.name)) for declared in fields(self))
        if problems := [*filter(None, of_fields), *find_problems(self)]:
            raise ConfigError(problems)

    @classmethod
    def from_env(
        cls, environ: Mapping[str, str] | None = None, *, file_values: Mapping[str, str] | None = None
    ) -> Config:
        """Read the settings from the environment, which overrides those of a file; an empty value counts as unset.

        Raises:
            ConfigError: a value is invalid, or settings exclude each other. It lists all problems at once.
        """
        environ = os.environ if environ is None else environ
        values, problems = parse_values({**(file_values or {}), **environ}, fields(cls))
        try:
            config = cls(**values)  # type: ignore[arg-type]
        except ConfigError as error:
            raise ConfigError(problems + error.problems) from None
        if problems:
            raise ConfigError(problems)
        return config

    @property
    def is_production(self) -> bool:
        """Whether this is a production server, which starts with safe settings only."""
        return self.app_env == "production"

    @property
    def is_offline(self) -> bool:
        """Whether the offline model answers, because no upstream is configured."""
        return not (self.openai_api_key or self.openai_base_url or self.azure_openai_endpoint)

    @property
    def allowed_anonymous_scopes(self) -> frozenset[str]:
        """What callers without a credential may do: ANONYMOUS_SCOPES, or its default."""
        if self.anonymous_scopes is not None:
            return frozenset(self.anonymous_scopes)
        return frozenset(("chat",) if self.is_production else VISITOR_SCOPES)

    @cached_property
    def identity_provider(self) -> ProviderSettings | None:
        """The provider whose JWTs are accepted; None if there is none."""
        return read_provider(self)

    @cached_property
    def upstream(self) -> UpstreamSettings:
        """The API that is called."""
        return UpstreamSettings(
            is_offline=self.is_offline,
            base_url=self.openai_base_url,
            azure_endpoint=self.azure_openai_endpoint,
        )

    @cached_property
    def connection(self) -> ConnectionSettings:
        """The API that is called, and the credentials for it."""
        return ConnectionSettings(
            upstream=self.upstream,
            azure_api_version=self.azure_openai_api_version,
            api_key=self.openai_api_key,
            organization=self.openai_org_id,
            connect_timeout_s=self.connect_timeout_s,
        )

    @cached_property
    def models(self) -> ModelSettings:
        """The models of each operation, and the limits of their answers and inputs in tokens."""
        return read_models(self)

    @cached_property
    def origins(self) -> OriginSettings:
        """The origins of the pages that may call the API."""
        return OriginSettings(
            allowed=frozenset(self.allowed_origins),
            with_credentials=self.cors_credentials,
            own_hosts=frozenset(self.trusted_hosts),
            has_loopback_hosts=not self.is_production,
        )

    @cached_property
    def visitor_tokens(self) -> TokenSettings:
        """The limits of a visitor token."""
        return TokenSettings(max_ttl_s=self.token_max_ttl_s, origins=frozenset(self.allowed_origins))

    @cached_property
    def images(self) -> ImageSettings:
        """The limits of the images of a request."""
        return ImageSettings(
            model=self.vision_model,
            max_bytes=self.max_image_bytes,
            max_pixels=self.max_image_pixels,
            timeout_s=self.request_timeout_s,
        )

    @cached_property
    def batching(self) -> BatchSettings:
        """Who may submit batches, and their maximum size."""
        return BatchSettings(
            submitters=self.batches,
            max_requests=self.max_batch_requests,
            max_bytes=self.max_body_bytes,
            timeout_s=self.request_timeout_s,
        )

    @cached_property
    def upstream_batches(self) -> UpstreamBatchSettings:
        """What the client of the upstream's Batch API needs to know."""
        return UpstreamBatchSettings(
            upstream=self.upstream,
            models=self.models,
            chat_is_moderated=self.moderation != "off",
            max_attempts=self.retry_max_attempts,
        )

    @cached_property
    def sending(self) -> SendSettings:
        """The number of attempts of a call, and the timeouts of a stream."""
        return SendSettings(
            max_attempts=self.retry_max_attempts,
            first_token_timeout_s=self.first_token_timeout_s,
            idle_timeout_s=self.idle_timeout_s,
            breaker=BreakerSettings(failures=self.breaker_failures, cooldown_s=self.breaker_cooldown_s),
        )

    @cached_property
    def moderating(self) -> ModerationSettings:
        """What is moderated, and by which model."""
        return ModerationSettings(
            mode=self.moderation,
            of_input=self.moderation != "off",
            of_output=self.moderation == "both",
            model=self.moderation_model,
            refuses_on_failure=self.moderation_on_failure == "refuse",
            own_text=self.system_prompt,
        )

    @cached_property
    def chat_cache(self) -> CacheSettings:
        """The size and lifetime of the cache of chat answers."""
        return CacheSettings(entries=self.chat_cache_entries, ttl_s=self.chat_cache_ttl_s)

    @cached_property
    def embedding_cache(self) -> CacheSettings:
        """The size and lifetime of the cache of embeddings."""
        return CacheSettings(entries=self.embedding_cache_entries, ttl_s=self.embedding_cache_ttl_s)

    @cached_property
    def service(self) -> ServiceSettings:
        """What the service needs to know."""
        return ServiceSettings(
            upstream=self.upstream,
            models=self.models,
            sending=self.sending,
            moderating=self.moderating,
            chat_cache=self.chat_cache,
            embedding_cache=self.embedding_cache,
            request_timeout_s=self.request_timeout_s,
            heartbeat_s=self.heartbeat_s,
            drains=self.disconnect_policy == "drain",
            tool_max_steps=self.tool_max_steps,
            tool_timeout_s=self.tool_timeout_s,
        )
