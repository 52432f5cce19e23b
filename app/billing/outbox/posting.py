"""Send a request to another system, within a time limit for the whole exchange."""

from __future__ import annotations

import time
from urllib.parse import urlsplit

import httpx2

from app.billing.outbox.targets import DeliveryFailed
from app.upstream_http.call_state import CallState
from app.upstream_http.client import UpstreamClient

_CONNECT_S = 5.0
TIMEOUT_S = 10.0


class Poster:
    """Sends POST requests to one origin, over persistent connections."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host = parts.netloc.rpartition("@")[2]
        self._client = UpstreamClient(f"{parts.scheme}://{self.host}", connect_timeout_s=_CONNECT_S)

    def post(self, url: str, headers: list[tuple[str, str]], content: bytes) -> httpx2.Response:
        """Return the complete response, whatever its status; redirects are not followed.

        Raises:
            DeliveryFailed: there was no response, or not in time.
        """
        request = self._client.build_request("POST", url, headers=headers, content=content)
        state = CallState(deadline=time.monotonic() + TIMEOUT_S, tick_s=2 * TIMEOUT_S)
        try:
            return state.run(lambda: self._client.send(request))
        except httpx2.TimeoutException:
            raise DeliveryFailed(f"no answer within {TIMEOUT_S:.0f} s") from None
        except httpx2.HTTPError as error:
            raise DeliveryFailed(f"no answer ({type(error).__name__})") from None

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
