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
