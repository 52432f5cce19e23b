"""How long an idle connection may stay open, by default or by the upstream's `Keep-Alive` header."""

from __future__ import annotations

import re

USUAL_IDLE_S = 4.0
"""The idle limit without a `Keep-Alive` header. Most servers close idle connections after 5 s or more. A request that is
sent while the server closes the connection is lost, and may be billed."""
_MAX_IDLE_S = 55.0
# A connection is closed this long before the server's `Keep-Alive: timeout=…`.
_MARGIN_S = 1.0
_TIMEOUT = re.compile(rb"(?:^|[,;\s])timeout\s*=\s*\"?(\d{1,9})", re.IGNORECASE)


def read_idle_limit(header: bytes, default_s: float) -> float:
    """Return how long a connection with this `Keep-Alive` header may be idle, in seconds."""
    timeout = _TIMEOUT.search(header)
    return default_s if timeout is None else min(int(timeout[1]) - _MARGIN_S, _MAX_IDLE_S)
