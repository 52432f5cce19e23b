"""KeyRing: the site's keys for the upstream. It sets a key aside if it is refused or its quota is used up."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from app.openai_service.errors import QUOTA_CODES, UpstreamError, UserBlocked
from app.runtime import clock
from app.runtime.log_throttle import LogThrottle

log = logging.getLogger(__name__)

SET_ASIDE_S = 300.0
"""How long a refused key is not used. The next call then tries it again, and costs one refused request if it still fails."""

_SHOWN_CHARS = 4
# Of a shorter key, the last four characters would reveal too much.
_MIN_CHARS = 16

T = TypeVar("T")


class KeyedClient(Protocol):
    """A client of the upstream with one key."""

    api_key: str


C = TypeVar("C", bound=KeyedClient)


class KeyRing(Generic[C]):
    """Chooses the key of each request of this process: the first of OPENAI_API_KEYS that is not set aside.

    Args:
        clients: one client for each key, in order of preference.
    """

    def __init__(self, clients: Sequence[C]) -> None:
        self.clients = tuple(clients)
        self._set_aside_until: dict[str, float] = {}
        self._throttle = LogThrottle()

    def choose(self) -> C:
        """Return the client to send with. If all keys are set aside, use the one that was set aside first."""
        if not self._set_aside_until:
            return self.clients[0]
        now = clock.ticks()
        usable = [client for client in self.clients if self._until(client) <= now]
        return usable[0] if usable else min(self.clients, key=self._until)

    def set_aside(self, client: C, error: UpstreamError) -> bool:
        """Set a client's key aside if it is at fault, and return whether another key can be used instead.

        A single key is not set aside, as there is no other.
        """
        reason = _find_reason(error)
        if reason is None or len(self.clients) == 1:
            return False
        self._set_aside_until[client.api_key] = clock.ticks() + SET_ASIDE_S
        self._log_set_aside(client.api_key, reason, error)
        return self._until(self.choose()) <= clock.ticks()

    def try_each(self, send: Callable[[C], T], translate: Callable[[Exception], UpstreamError | None]) -> T:
        """Send with each key in turn until one is accepted, including keys that are set aside.

        Use it for objects that belong to a key's project. The first key is always preferred, and a 404 for a later key
        is ignored, as the object need not be in that key's project.

        Args:
            send: sends with a client.
            translate: translates an exception of the client; returns None if it is no response of the upstream.
        """
        refusal: Exception | None = None
        for client in self.clients:
            try:
                return send(client)
            except Exception as raised:
                error = translate(raised)
                if refusal is not None and (error is None or error.upstream_status == 404):
                    raise refusal from None
                if error is None or _find_reason(error) is None:
                    raise
                self.set_aside(client, error)
                refusal = refusal or raised
        assert refusal is not None
        raise refusal

    def _until(self, client: C) -> float:
        return self._set_aside_until.get(client.api_key, 0.0)

    def _log_set_aside(self, key: str, reason: str, error: UpstreamError) -> None:
        if not self._throttle.allows(key):
            return
        log.error(
            "upstream.key_set_aside",
            extra={
                "key": f"…{key[-_SHOWN_CHARS:]}" if len(key) >= _MIN_CHARS else "…",
                "fault": reason,
                "upstream_status": error.upstream_status,
                "upstream_code": error.upstream_code,
                "for_s": int(SET_ASIDE_S),
                "hint": _HINTS[reason],
            },
        )


_HINTS = {
    "key": "The upstream refuses this key: it is wrong or revoked. Replace it in OPENAI_API_KEYS and reload.",
    "quota": "The quota of this key's account is used up: add credit or raise its limit. The next key is used meanwhile.",
}


def _find_reason(error: UpstreamError) -> str | None:
    """Return why the key is at fault, `key` or `quota`; None if it is not."""
    if isinstance(error, UserBlocked) or error.billed_usage is not None:
        return None
    if error.upstream_code in QUOTA_CODES or error.upstream_status == 402:
        return "quota"
    return "key" if error.upstream_status == 401 or error.upstream_code == "invalid_api_key" else None
