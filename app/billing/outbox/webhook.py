"""Send settled entries to the site's webhook, signed by the Standard Webhooks specification."""

from __future__ import annotations

from typing import Any

import orjson

from app.billing.outbox.posting import Poster
from app.billing.outbox.targets import DeliveryFailed, Entry
from app.models.token_counts import FIGURES
from app.runtime import clock
from app.runtime.times import format_iso
from app.safety.signatures import decode_secret, sign

_NAMES = {
    "id": "id",
    "request_id": "requestId",
    "tenant": "tenant",
    "user_id": "user",
    "token_id": "tokenId",
    "route": "route",
    "operation": "operation",
    "model": "model",
    "served_model": "servedModel",
    "outcome": "outcome",
    "source": "source",
    **{name: "".join((first, *map(str.title, more))) for name in FIGURES for first, *more in [name.split("_")]},
    "tokens": "tokens",
    "cost_micro_usd": "costMicroUsd",
    "price_version": "priceVersion",
    "attempts": "attempts",
    "tool_calls": "toolCalls",
    "first_token_ms": "firstTokenMs",
    "total_ms": "totalMs",
}
_TIMES = {"created_at": "createdAt", "settled_at": "settledAt"}


class UsageWebhook:
    """The configured webhook. The header `webhook-id` is the entry's id, by which receivers drop duplicates."""

    name = "webhook"
    dedup_window_s: float | None = None

    def __init__(self, url: str, secret: str) -> None:
        self._url = url
        self._key = decode_secret(secret)
        self._poster = Poster(url)

    def send(self, entry: Entry) -> None:
        """Post an entry. Any status from 200 to 299 means that it is accepted."""
        body = orjson.dumps(describe(entry))
        timestamp = str(int(clock.now()))
        headers = [
            ("Host", self._poster.host),
            ("Content-Type", "application/json"),
            ("User-Agent", "Gatehouse"),
            ("webhook-id", entry["id"]),
            ("webhook-timestamp", timestamp),
            ("webhook-signature", sign(body, key=self._key, webhook_id=entry["id"], timestamp=timestamp)),
        ]
        status = self._poster.post(self._url, headers, body).status_code
        if not 200 <= status < 300:
            # 410 Gone: by the specification, the receiver wants no further events.
            raise DeliveryFailed(f"status {status}", is_final=status == 410)

    def close(self) -> None:
        """Close the connections."""
        self._poster.close()


def describe(entry: Entry) -> dict[str, Any]:
    """Return the event of an entry."""
    settled_at = format_iso(entry["settled_at"] / 1000)
    data = {theirs: entry[ours] for ours, theirs in _NAMES.items()}
    data |= {theirs: format_iso(entry[ours] / 1000) for ours, theirs in _TIMES.items()}
    return {"type": "usage.settled", "timestamp": settled_at, "data": data}
