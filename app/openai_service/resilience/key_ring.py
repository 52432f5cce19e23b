"""KeyRing: the site's keys at the upstream. One that is refused, or whose quota is used up, is set aside for a while."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from app.openai_service.errors import QUOTA_CODES, UpstreamError, UserBlocked
from app.runtime import clock
from app.runtime.log_throttle import LogThrottle

log = logging.getLogger(__name__)

SET_ASIDE_S = 300.0
"""For so long a refused key is not tried. Then one call finds out whether it is good again, which costs it one refusal."""

_SHOWN_CHARS = 4
# Of a shorter key the last four characters would be too large a part.
_MIN_CHARS = 16

T = TypeVar("T")


class KeyedClient(Protocol):
    """A client of the upstream with one key."""

    api_key: str


C = TypeVar("C", bound=KeyedClient)


class KeyRing(Generic[C]):
    """Chooses the key of each request of this process: the first of OPENAI_API_KEYS that is not set aside.

    Args:
        clients: one for each key, in the order in which they are preferred.
    """

    def __init__(self, clients: Sequence[C]) -> None:
        self.clients = tuple(clients)
        self._set_aside_until: dict[str, float] = {}
        self._throttle = LogThrottle()

    def choose(self) -> C:
        """Return the client to send with; if all keys are set aside, that of the key that has been for the longest time."""
        if not self._set_aside_until:
            return self.clients[0]
        now = clock.ticks()
        good = [client for client in self.clients if self._until(client) <= now]
        return good[0] if good else min(self.clients, key=self._until)

    def set_aside(self, client: C, error: UpstreamError) -> bool:
        """Set a client's key aside if it is at fault, and return whether another key may do better.

        A single key is not set aside: there is nothing to send with instead.
        """
        reason = _find_reason(error)
        if reason is None or len(self.clients) == 1:
            return False
        self._set_aside_until[client.api_key] = clock.ticks() + SET_ASIDE_S
        self._tell(client.api_key, reason, error)
        return self._until(self.choose()) <= clock.ticks()

    def try_each(self, send: Callable[[C], T], translate: Callable[[Exception], UpstreamError | None]) -> T:
        """Send with one key after the other until one is accepted, also with those that are set aside.

        For what belongs to a key's project: no other key is preferred to the first, and that another one's project does not
        have it says nothing.

        Args:
            send: sends with a client.
            translate: returns what an exception of the client means; None if it is no answer of the upstream.
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

    def _tell(self, key: str, reason: str, error: UpstreamError) -> None:
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
    """Return what is wrong with the key; None if it is not at fault."""
    if isinstance(error, UserBlocked) or error.billed_usage is not None:
        return None
    if error.upstream_code in QUOTA_CODES or error.upstream_status == 402:
        return "quota"
    return "key" if error.upstream_status == 401 or error.upstream_code == "invalid_api_key" else None
