"""Groups of settings, each for one part of the application: see the properties of Config.

They are named tuples, because each process creates these classes at its start, and a dataclass takes seven times as
long. Groups with secrets are dataclasses, whose repr can omit them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from app.config.models import ModelSettings


class UpstreamSettings(NamedTuple):
    """The upstream: OpenAI, if no other is configured.

    Attributes:
        is_offline: whether the offline model answers.
        base_url: of a compatible server, or empty.
        azure_endpoint: of an Azure resource, or empty.
        api: the API for conversations: auto, chat or responses.
    """

    is_offline: bool
    base_url: str
    azure_endpoint: str
    api: Literal["auto", "chat", "responses"] = "auto"


class HostedToolSettings(NamedTuple):
    """The tools that run at OpenAI and that callers of /v1/responses may use.

    Attributes:
        allowed: the types of these tools.
        resources: ids and URLs of what these tools may access: vector stores, files, containers, MCP servers.
        max_calls: the maximum calls in one answer. A request may lower it.
    """

    allowed: frozenset[str]
    resources: frozenset[str]
    max_calls: int


class AttributionSettings(NamedTuple):
    """What is sent to the upstream about a conversation's user, and whether it may store the conversation.

    Attributes:
        identifiers: which upstreams receive hashes of users: auto (OpenAI and Azure), always (any), or never.
        store: whether the upstream may store conversations.
    """

    identifiers: str
    store: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionSettings:
    """The upstream, and the credentials for it.

    Attributes:
        offline_model_as: the model that the offline model imitates.
        api_keys: in the order in which they are tried; may be empty.
        organization: may be empty.
        connect_timeout_s: until the connection is open.
    """

    upstream: UpstreamSettings
    offline_model_as: str
    azure_api_version: str
    api_keys: tuple[str, ...] = field(repr=False)
    organization: str
    connect_timeout_s: float


class LogSettings(NamedTuple):
    """What is logged, and how.

    Attributes:
        level: the minimum level of logged messages.
        form: text or json.
        with_priorities: whether each line begins with its priority for systemd's journal.
    """

    level: str
    form: str
    with_priorities: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TracingSettings:
    """Where traces are sent, and the attributes that all spans share.

    Attributes:
        endpoint: of the collector. Spans are sent to /v1/traces below it.
        headers: of these requests, such as a credential.
        service_name: of this server.
        provider: of the upstream, by its name in OpenTelemetry's conventions.
        upstream_url: the URL whose host the spans name.
    """

    endpoint: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    service_name: str
    provider: str
    upstream_url: str


class OriginSettings(NamedTuple):
    """The origins of the pages that may call the API.

    Attributes:
        allowed: origins on other hosts.
        allowed_headers: names of request headers that pages may send besides those of the API, or prefixes that end in an asterisk.
        with_credentials: whether browsers may send cookies.
        own_hosts: the host names of this server. Pages on them are the site's own.
        has_loopback_hosts: whether localhost is one of them and its pages are allowed on any port, as in development.
    """

    allowed: frozenset[str]
    allowed_headers: tuple[str, ...]
    with_credentials: bool
    own_hosts: frozenset[str]
    has_loopback_hosts: bool


class TokenSettings(NamedTuple):
    """The limits of a visitor token: its maximum lifetime, and the origins that it can be bound to."""

    max_ttl_s: int
    origins: frozenset[str]


class MediaSettings(NamedTuple):
    """The limits of the images and files of a request.

    Attributes:
        models: the default of each operation that takes images.
        max_bytes: of one file, as received.
        max_pixels: of one image, as received.
        max_detail: the maximum detail in which the model sees an image: low, high, auto or original.
        max_file_bytes: of one file, as received.
        max_file_pages: of all files of a request together.
        are_moderated: whether the content of a file must be readable for moderation.
        timeout_s: for the whole answer, including the processing of its images and files.
    """

    models: Mapping[str, str]
    max_bytes: int
    max_pixels: int
    max_detail: str
    max_file_bytes: int
    max_file_pages: int
    are_moderated: bool
    timeout_s: float


class BatchSettings(NamedTuple):
    """The settings of batches.

    Attributes:
        submitters: who may submit one: off (no caller), keys, or all (visitors with a token as well).
        timeout_s: for a request to the upstream.
    """

    submitters: str
    max_requests: int
    max_bytes: int
    timeout_s: float


class UpstreamBatchSettings(NamedTuple):
    """The settings of the client of the upstream's Batch API.

    Attributes:
        chat_is_moderated: whether chat is moderated. Batches cannot be.
        max_attempts: for each request to the Batch API.
    """

    upstream: UpstreamSettings
    attribution: AttributionSettings
    models: ModelSettings
    chat_is_moderated: bool
    max_attempts: int
    breaker: BreakerSettings


class BreakerSettings(NamedTuple):
    """The number of consecutive failures that open a model's circuit, and how long it stays open."""

    failures: int
    cooldown_s: float


class SendSettings(NamedTuple):
    """The number of attempts of a call, and the timeouts of a stream.

    Attributes:
        max_attempts: for each model.
        first_token_timeout_s: until the first chunk.
        idle_timeout_s: between two chunks.
    """

    max_attempts: int
    first_token_timeout_s: float
    idle_timeout_s: float
    breaker: BreakerSettings


class ModerationSettings(NamedTuple):
    """What is moderated, and by which model.

    Attributes:
        mode: off, input or both, as configured.
        of_input, of_output: whether requests and answers are moderated.
        refuses_on_failure: whether a call fails if it cannot be moderated.
        own_text: the site's system prompt, which is not moderated.
    """

    mode: str
    of_input: bool
    of_output: bool
    model: str
    refuses_on_failure: bool
    own_text: str


class CacheSettings(NamedTuple):
    """The size of a cache for each tenant, and the lifetime of its entries. With 0 entries the cache is off."""

    entries: int
    ttl_s: float


class ServiceSettings(NamedTuple):
    """The settings of OpenAIService.

    Attributes:
        request_timeout_s: for the whole answer.
        heartbeat_s: between two heartbeats of a silent stream.
        drains: whether an answer is read to its end after its client has disconnected.
        tool_max_steps: the maximum rounds of server tool calls in one call.
        tool_timeout_s: for each run of a server tool.
    """

    upstream: UpstreamSettings
    attribution: AttributionSettings
    models: ModelSettings
    sending: SendSettings
    moderating: ModerationSettings
    chat_cache: CacheSettings
    embedding_cache: CacheSettings
    request_timeout_s: float
    heartbeat_s: float
    drains: bool
    tool_max_steps: int
    tool_timeout_s: float
