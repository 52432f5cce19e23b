"""Groups of settings, each for one part of the application: see the properties of Config."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamSettings:
    """The API that is called: OpenAI's, if nothing else is given.

    Attributes:
        is_offline: whether the offline model answers.
        base_url: of a compatible server, or empty.
        azure_endpoint: of an Azure resource, or empty.
    """

    is_offline: bool
    base_url: str
    azure_endpoint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionSettings:
    """The API that is called, and the credentials for it.

    Attributes:
        organization: may be empty.
        connect_timeout_s: until the connection is open.
    """

    upstream: UpstreamSettings
    azure_api_version: str
    api_key: str = field(repr=False)
    organization: str
    connect_timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginSettings:
    """The origins of the pages that may call the API.

    Attributes:
        with_credentials: whether browsers may send cookies.
    """

    allowed: frozenset[str]
    with_credentials: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSettings:
    """The limits of a visitor token: its maximum lifetime, and the origins that it can be bound to."""

    max_ttl_s: int
    origins: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSettings:
    """The limits of the images of a request.

    Attributes:
        model: the default for vision.
        max_bytes: of one file, as received.
        max_pixels: of one image, as received.
        timeout_s: for the whole answer, including the work on its images.
    """

    model: str
    max_bytes: int
    max_pixels: int
    timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSettings:
    """The maximum size of a batch, and the timeout of a request to the upstream."""

    max_requests: int
    max_bytes: int
    timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerSettings:
    """How many failures in a row open a model's circuit, and for how long it stays open."""

    failures: int
    cooldown_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SendSettings:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ModerationSettings:
    """What is moderated, and by which model.

    Attributes:
        of_input, of_output: whether requests and answers are moderated.
        refuses_on_failure: whether a call fails if it cannot be moderated.
        own_text: the site's system prompt, which is not moderated.
    """

    of_input: bool
    of_output: bool
    model: str
    refuses_on_failure: bool
    own_text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheSettings:
    """The size of a cache for each tenant, and the lifetime of its entries. With 0 entries the cache is off."""

    entries: int
    ttl_s: float
