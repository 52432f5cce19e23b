"""Tell Stripe's meters what the customers of the site have used.

Source: https://docs.stripe.com/api/billing/meter-event/create
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import orjson

from app.billing.outbox.posting import Poster
from app.billing.outbox.targets import Entry, NotTaken

API = "https://api.stripe.com"
NO_CUSTOMER = "none"
_PATH = "/v1/billing/meter_events"
# What Stripe may say of the same event at another time: wrong key, permission, too early, conflict, too many.
_MAY_PASS = {401, 403, 408, 409, 425, 429}


class StripeMeter:
    """A meter. The event's identifier is the entry's id: Stripe takes each once within a day."""

    name = "stripe"
    remembers_s: float | None = 23 * 3600.0  # it says 24 hours at least

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
            raise NotTaken("the cost of the entry is unknown", is_final=True)
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
            return  # an attempt whose answer was lost
        is_final = 400 <= status < 500 and status not in _MAY_PASS
        raise NotTaken(f"status {status}: {message}" if message else f"status {status}", is_final=is_final)

    def close(self) -> None:
        """Close the connections."""
        self._poster.close()

    def _find_customer(self, tenant: str) -> str:
        if tenant.startswith("cus_"):
            return tenant
        try:
            return self._customers[tenant]
        except KeyError:
            raise NotTaken(f"STRIPE_CUSTOMERS has no customer of tenant {tenant}", is_final=True) from None


def _read_message(body: bytes) -> str:
    """Return Stripe's sentence about a fault, in one line."""
    try:
        document: Any = orjson.loads(body)
        text = str(document["error"]["message"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return ""
    return " ".join(text.split())[:200]
