"""The settings that one part takes together, each group as one value: see the properties of Config."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginSettings:
    """Whose pages may call the API.

    Attributes:
        with_credentials: whether browsers may send cookies along.
    """

    allowed: frozenset[str]
    with_credentials: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSettings:
    """What a visitor token may say: how long it lasts at most, and of which pages it is."""

    max_ttl_s: int
    origins: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSettings:
    """Which images are accepted.

    Attributes:
        model: that looks at them where nothing else names one.
        max_bytes: of one file, as it comes.
        max_pixels: of one image, as it comes.
        timeout_s: within which an answer, and with it the images, must be ready.
    """

    model: str
    max_bytes: int
    max_pixels: int
    timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSettings:
    """How large a batch may be, and how long a request to the upstream may take."""

    max_requests: int
    max_bytes: int
    timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerSettings:
    """After how many failures in a row a model's circuit opens, and for how long."""

    failures: int
    cooldown_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SendSettings:
    """How often a call asks each model, and how long a stream may be silent.

    Attributes:
        max_attempts: at each model.
        first_token_timeout_s: until a stream begins.
        idle_timeout_s: between two chunks of it.
    """

    max_attempts: int
    first_token_timeout_s: float
    idle_timeout_s: float
    breaker: BreakerSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class ModerationSettings:
    """What is moderated, and by which model.

    Attributes:
        of_input, of_output: whether requests and answers are.
        refuses_on_failure: whether a call ends where the moderation itself fails.
        own_text: the site's system prompt, which needs none.
    """

    of_input: bool
    of_output: bool
    model: str
    refuses_on_failure: bool
    own_text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheSettings:
    """How many answers are cached for each tenant, and for how long; 0 entries turn a cache off."""

    entries: int
    ttl_s: float
