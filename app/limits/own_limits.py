"""OwnLimits: the limits of one account, which override those of the settings, and their text format."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Literal

from app.config.formats import check_rate
from app.limits.rate_limiter import Rate
from app.models.pricing.money import to_micro_usd

NO_LIMIT: Final = "none"
"""The value for no limit. None is the limit of the settings."""

_NOTHING: Final = "0"
_NUMBER = re.compile("[0-9]{1,15}")
_USD = re.compile(r"[0-9]{1,9}(\.[0-9]{1,6})?")
_BLOCKED = Rate(0, 60)


class InvalidLimit(ValueError):
    """A limit has the wrong format. The message is to be shown after the name of `field`."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnLimits:
    """The own limits of an account. None: the limit of the settings; "none": no limit; 0: nothing is allowed."""

    request_rate: Rate | Literal["none"] | None = None
    token_rate: Rate | Literal["none"] | None = None
    concurrent_streams: int | Literal["none"] | None = None
    budget_usd: int | Literal["none"] | None = None  # in micro-dollars
    budget_tokens: int | Literal["none"] | None = None

    @classmethod
    def parse(cls, texts: Mapping[str, str | None]) -> OwnLimits:
        """Parse limits such as {"request_rate": "60/minute", "budget_usd": "2.50"}. A missing one is None.

        Raises:
            InvalidLimit: a text has the wrong format.
        """
        return cls(**{name: _parse(name, text) for name, text in texts.items()})

    def to_texts(self) -> dict[str, str | None]:
        """Return each limit as text, or None if that of the settings applies."""
        return {name: _format(name, getattr(self, name)) for name in LIMIT_NAMES}

    @property
    def has_budget(self) -> bool:
        """Whether it sets any budget."""
        return self.budget_usd is not None or self.budget_tokens is not None

    def __bool__(self) -> bool:
        """Return whether any limit is set."""
        return any(getattr(self, name) is not None for name in LIMIT_NAMES)


LIMIT_NAMES = tuple(field.name for field in fields(OwnLimits))
"""The names of the limits that an account can have, in the order of display."""


def choose(own: int | Literal["none"] | None, default: int | None) -> int | None:
    """Return an account's own limit, or the default if it has none. The result None is no limit."""
    if own is None:
        return default
    return None if own == NO_LIMIT else own


def format_rate(rate: Rate) -> str:
    """Return a rate as in the settings: 60/minute."""
    return rate.text if rate.amount else _NOTHING


def format_money(micro_usd: int) -> str:
    """Return an amount in dollars without trailing zeros: 2.5."""
    return f"{micro_usd // 1_000_000}.{micro_usd % 1_000_000:06}".rstrip("0").rstrip(".")


def _parse(name: str, text: str | None) -> Any:
    if text is None or text == NO_LIMIT:
        return text
    return _PARSERS[name](name, text)


def _format(name: str, value: Any) -> str | None:
    if value is None or value == NO_LIMIT:
        return None if value is None else NO_LIMIT
    if isinstance(value, Rate):
        return format_rate(value)
    return format_money(value) if name == "budget_usd" else str(value)


def _parse_rate(name: str, text: str) -> Rate:
    if text == _NOTHING:
        return _BLOCKED
    if check_rate(text) is not None:
        raise InvalidLimit(name, "must have the form 60/minute (or second, hour, day), or be none or 0.")
    return Rate.parse(text)


def _parse_number(name: str, text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise InvalidLimit(name, "must be a whole number of at most 15 digits, or none.")
    return int(text)


def _parse_usd(name: str, text: str) -> int:
    if not _USD.fullmatch(text):
        raise InvalidLimit(
            name, "must be dollars such as 2.50, below a billion and with up to six decimals, or none."
        )
    return to_micro_usd(float(text))


_PARSERS: dict[str, Callable[[str, str], Any]] = {
    "request_rate": _parse_rate,
    "token_rate": _parse_rate,
    "concurrent_streams": _parse_number,
    "budget_usd": _parse_usd,
    "budget_tokens": _parse_number,
}
