"""Config: the settings of a process, checked together, and grouped for each part of the application."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote

from app.config.fields import ConfigError
from app.config.groups import (
    AttributionSettings,
    BatchSettings,
    BreakerSettings,
    CacheSettings,
    ConnectionSettings,
    HostedToolSettings,
    LogSettings,
    MediaSettings,
    ModerationSettings,
    OriginSettings,
    SendSettings,
    ServiceSettings,
    TokenSettings,
    TracingSettings,
    UpstreamBatchSettings,
    UpstreamSettings,
)
from app.config.identity_provider import VISITOR_SCOPES, ProviderSettings, read_provider
from app.config.models import ModelSettings, read_models
from app.config.rules import find_problems
from app.config.setting_fields import SettingFields
from app.config.variables import list_file_names, parse_values, read_secret_files


class Config(SettingFields):
    """All settings, and their groups: one property for each part of the application.

    This class is not decorated as a dataclass again: generating methods for so many fields takes 5 ms at each start.
    """

    def find_problems(self) -> list[str]:
        """Return one sentence for each invalid value, and for each rule that the settings violate."""
        return [*super().find_problems(), *find_problems(self)]

    @classmethod
    def from_env(
        cls, environ: Mapping[str, str] | None = None, *, file_values: Mapping[str, str] | None = None
    ) -> Config:
        """Read the settings from the environment, which overrides `file_values`. An empty value counts as unset.

        A secret can also be read from a file, whose path is in the variable with the secret's name and `_FILE`.

        Raises:
            ConfigError: a value is invalid, or settings exclude each other. It lists all problems.
        """
        environ = os.environ if environ is None else environ
        given = {**(file_values or {}), **environ}
        secrets, unreadable = read_secret_files(given, fields(cls))
        values, problems = parse_values({**given, **secrets}, fields(cls))
        problems += unreadable
        try:
            config = cls(**values)  # type: ignore[arg-type]
        except ConfigError as error:
            raise ConfigError(problems + error.problems) from None
        if problems:
            raise ConfigError(problems)
        return config

    @classmethod
    def find_secret_files(cls, file_values: Mapping[str, str]) -> dict[str, Path]:
        """Return the paths of secret files by variable name. The environment overrides `file_values`."""
        given = {**file_values, **os.environ}
        return {name: Path(given[name]) for name in sorted(list_file_names(fields(cls))) if given.get(name)}

    @property
    def is_production(self) -> bool:
        """Whether this is a production server, which refuses to start with unsafe settings."""
        return self.app_env == "production"

    @property
    def api_keys(self) -> tuple[str, ...]:
        """The keys for the upstream, in the order in which they are tried: OPENAI_API_KEY, then OPENAI_API_KEYS."""
        return tuple(dict.fromkeys(key for key in (self.openai_api_key, *self.openai_api_keys) if key))

    @property
    def is_offline(self) -> bool:
        """Whether the offline model answers, because no upstream is configured."""
        return not (self.api_keys or self.openai_base_url or self.azure_openai_endpoint)

    @property
    def allowed_anonymous_scopes(self) -> frozenset[str]:
        """The scopes of callers without a credential: ANONYMOUS_SCOPES, or its default."""
        if self.anonymous_scopes is not None:
            return frozenset(self.anonymous_scopes)
        return frozenset(("chat",) if self.is_production else VISITOR_SCOPES)

    @property
    def logs(self) -> LogSettings:
        """What is logged, and how. systemd sets JOURNAL_STREAM if its journal reads the output of a service."""
        is_read_by_journal = bool(os.environ.get("JOURNAL_STREAM")) and not os.isatty(2)
        return LogSettings(
            level=self.log_level,
            form=self.log_format,
            with_priorities=is_read_by_journal
            if self.log_priorities == "auto"
            else self.log_priorities == "always",
        )

    @cached_property
    def tracing(self) -> TracingSettings | None:
        """Where traces are sent; None if there are no traces."""
        if not self.otel_exporter_otlp_endpoint:
            return None
        pairs = [pair.partition("=") for pair in self.otel_exporter_otlp_headers.split(",") if pair]
        is_azure = bool(self.azure_openai_endpoint)
        return TracingSettings(
            endpoint=self.otel_exporter_otlp_endpoint,
            headers=tuple((name.strip(), unquote(value.strip())) for name, _, value in pairs),
            service_name=self.otel_service_name,
            provider="azure.ai.openai" if is_azure else "openai",
            upstream_url=self.azure_openai_endpoint or self.openai_base_url or "https://api.openai.com/v1",
        )

    @cached_property
    def identity_provider(self) -> ProviderSettings | None:
        """The provider whose JWTs are accepted; None if there is none."""
        return read_provider(self)

    @cached_property
    def upstream(self) -> UpstreamSettings:
        """The upstream."""
        return UpstreamSettings(
            is_offline=self.is_offline,
            base_url=self.openai_base_url,
            azure_endpoint=self.azure_openai_endpoint,
            api=self.upstream_api,  # type: ignore[arg-type]
        )

    @cached_property
    def hosted_tools(self) -> HostedToolSettings:
        """OpenAI's own tools that callers may use."""
        return HostedToolSettings(
            allowed=frozenset(self.allowed_openai_tools),
            resources=frozenset(self.openai_tool_resources),
            max_calls=self.openai_tool_max_calls,
        )

    @cached_property
    def attribution(self) -> AttributionSettings:
        """What is sent to the upstream about a conversation's user, and whether it may store the conversation."""
        return AttributionSettings(identifiers=self.upstream_identifiers, store=self.store_at_openai)

    @cached_property
    def connection(self) -> ConnectionSettings:
        """The upstream, and the credentials for it."""
        return ConnectionSettings(
            upstream=self.upstream,
            offline_model_as=self.offline_model_as,
            azure_api_version=self.azure_openai_api_version,
            api_keys=self.api_keys,
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
            allowed_headers=self.cors_allowed_headers,
            with_credentials=self.cors_credentials,
            own_hosts=frozenset(self.trusted_hosts),
            has_loopback_hosts=not self.is_production,
        )

    @cached_property
    def visitor_tokens(self) -> TokenSettings:
        """The limits of a visitor token."""
        return TokenSettings(max_ttl_s=self.token_max_ttl_s, origins=frozenset(self.allowed_origins))

    @cached_property
    def media(self) -> MediaSettings:
        """The limits of the images and files of a request."""
        return MediaSettings(
            models={"chat": self.chat_model, "structured": self.chat_model, "vision": self.vision_model},
            max_bytes=self.max_image_bytes,
            max_pixels=self.max_image_pixels,
            max_detail=self.max_image_detail,
            max_file_bytes=self.max_file_bytes,
            max_file_pages=self.max_file_pages,
            are_moderated=self.moderation != "off",
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
        """The settings of the client of the upstream's Batch API."""
        return UpstreamBatchSettings(
            upstream=self.upstream,
            attribution=self.attribution,
            models=self.models,
            chat_is_moderated=self.moderation != "off",
            max_attempts=self.retry_max_attempts,
            breaker=self.breaking,
        )

    @cached_property
    def breaking(self) -> BreakerSettings:
        """When a circuit opens, and how long it stays open."""
        return BreakerSettings(failures=self.breaker_failures, cooldown_s=self.breaker_cooldown_s)

    @cached_property
    def sending(self) -> SendSettings:
        """The number of attempts of a call, and the timeouts of a stream."""
        return SendSettings(
            max_attempts=self.retry_max_attempts,
            first_token_timeout_s=self.first_token_timeout_s,
            idle_timeout_s=self.idle_timeout_s,
            breaker=self.breaking,
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
        """The settings of OpenAIService."""
        return ServiceSettings(
            upstream=self.upstream,
            attribution=self.attribution,
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
