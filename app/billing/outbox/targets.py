"""Target: a system that is told of settled entries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from app.config import Config

Entry = Mapping[str, Any]
"""A settled row of the ledger, by the names of its columns."""


class NotTaken(Exception):
    """The system has not taken an entry. The message says why, without secrets.

    Attributes:
        is_final: whether another attempt would fail as well.
    """

    def __init__(self, reason: str, *, is_final: bool = False) -> None:
        super().__init__(reason)
        self.is_final = is_final


class Target(Protocol):
    """A system that is told of settled entries."""

    name: str
    """As in the column of the outbox."""
    remembers_s: float | None
    """For how long the system knows the id of what it has taken; None: for ever."""

    def send(self, entry: Entry) -> None:
        """Tell the system of an entry, which it takes once however often it is told. Raises NotTaken."""

    def close(self) -> None:
        """Close the connections."""


def name_targets(config: Config) -> tuple[str, ...]:
    """Return the names of the systems that the settings name."""
    named = {"webhook": config.usage_webhook_url, "stripe": config.stripe_api_key}
    return tuple(name for name, value in named.items() if value)


def open_targets(config: Config) -> Iterator[Target]:
    """Yield the systems that the settings name."""
    # Here, as servers never send: commands do.
    from app.billing.outbox.stripe import StripeMeter
    from app.billing.outbox.webhook import UsageWebhook

    if config.usage_webhook_url:
        yield UsageWebhook(config.usage_webhook_url, config.usage_webhook_secret)
    if config.stripe_api_key:
        yield StripeMeter(
            config.stripe_api_key,
            meter=config.stripe_meter,
            value=config.stripe_meter_value,
            customers=dict(each.split("=", 1) for each in config.stripe_customers),
        )
