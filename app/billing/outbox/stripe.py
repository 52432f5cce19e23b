"""Report the usage of the site's customers to Stripe's meters.

Source: https://docs.stripe.com/api/billing/meter-event/create
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import orjson

from app.billing.outbox.posting import Poster
from app.billing.outbox.targets import DeliveryFailed, Entry

API = "https://api.stripe.com"
NO_CUSTOMER = "none"
_PATH = "/v1/billing/meter_events"
# Statuses with which a later attempt may succeed: wrong key, no permission, timeout, conflict, too early, too many.
_RETRYABLE = {401, 403, 408, 409, 425, 429}


class StripeMeter:
    """A meter at Stripe. The event's identifier is the entry's id, by which Stripe drops duplicates for a day."""

    name = "stripe"
    dedup_window_s: float | None = 23 * 3600.0  # Stripe documents at least 24 hours

    def __init__(
        self, api_key: str, *, meter: str, value: str, customers: Mapping[str, str], api: str = API
    ) -> None:
        self._api_key = api_key
        self._meter = meter
        self._value = value
        self._customers = customers
        self._url = api + _PATH
        self._poster = Poster(api)

    def send(self, entry: Entry) -> None:
        """Send a meter event, unless the tenant is not billed or the entry adds nothing."""
        customer = self._find_customer(entry["tenant"])
        value = entry[self._value]
        if value is None:
            raise DeliveryFailed("the cost of the entry is unknown", is_final=True)
        if customer == NO_CUSTOMER or not value:
            return
        event = {
            "event_name": self._meter,
            "identifier": entry["id"],
            "timestamp": entry["created_at"] // 1000,
            "payload[stripe_customer_id]": customer,
            "payload[value]": value,
        }
        headers = [
            ("Host", self._poster.host),
            ("Authorization", f"Bearer {self._api_key}"),
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Idempotency-Key", entry["id"]),
        ]
        response = self._poster.post(self._url, headers, urlencode(event).encode())
        status = response.status_code
        if 200 <= status < 300:
            return
        message = _read_message(response.content)
        if status == 400 and "already exists" in message:
            return  # an earlier attempt was accepted, and its response was lost
        is_final = 400 <= status < 500 and status not in _RETRYABLE
        raise DeliveryFailed(f"status {status}: {message}" if message else f"status {status}", is_final=is_final)

    def close(self) -> None:
        """Close the connections."""
        self._poster.close()

    def _find_customer(self, tenant: str) -> str:
        if tenant.startswith("cus_"):
            return tenant
        try:
            return self._customers[tenant]
        except KeyError:
            raise DeliveryFailed(f"STRIPE_CUSTOMERS has no customer of tenant {tenant}", is_final=True) from None


def _read_message(body: bytes) -> str:
    """Return the message of Stripe's error, in one line; "" if there is none."""
    try:
        document: Any = orjson.loads(body)
        text = str(document["error"]["message"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return ""
    return " ".join(text.split())[:200]
