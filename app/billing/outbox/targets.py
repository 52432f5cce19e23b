"""Target: a system that settled entries are sent to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from app.config import Config

Entry = Mapping[str, Any]
"""A settled row of the ledger, by the names of its columns."""


class DeliveryFailed(Exception):
    """The target has not accepted an entry. The message says why, without secrets.

    Attributes:
        is_final: whether another attempt would fail as well.
    """

    def __init__(self, reason: str, *, is_final: bool = False) -> None:
        super().__init__(reason)
        self.is_final = is_final


class Target(Protocol):
    """A system that settled entries are sent to."""

    name: str
    """Its value in the outbox's column `target`."""
    dedup_window_s: float | None
    """For how many seconds the system recognizes a repeated entry by its id; None: without limit."""

    def send(self, entry: Entry) -> None:
        """Send an entry. Within `dedup_window_s` it may be sent again: it counts once. Raises DeliveryFailed."""

    def close(self) -> None:
        """Close the connections."""


def list_target_names(config: Config) -> tuple[str, ...]:
    """Return the names of the targets that are configured."""
    settings = {"webhook": config.usage_webhook_url, "stripe": config.stripe_api_key}
    return tuple(name for name, value in settings.items() if value)


def open_targets(config: Config) -> Iterator[Target]:
    """Yield the targets that are configured."""
    # Imported here, as only commands send entries, and servers never do.
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
